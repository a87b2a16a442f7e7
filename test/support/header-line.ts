import { readFileSync } from 'node:fs'
import { Agent, request } from 'node:https'
import { join } from 'node:path'
import { type Authorization, encodeJoinReq } from '@mortise/backend-interfaces'
import { type NetId, parseDevAddr } from '@mortise/lorawan'
import type { Device } from '@mortise/simulator'
import type { Installation, ServerProcess } from './installation.ts'

/** What a peer that shows a token was given: one line, `Name: value`. */
export interface HeaderFile {
  readonly path: string
  readonly name: string
  readonly value: string
  /** The token itself, without what stands around it. */
  readonly token: string
  /** As a client is told it. */
  readonly authorization: Authorization
}

/** Reads it as the operator of a network server does, who copies name and value. */
export function readHeaderFile(path: string): HeaderFile {
  const [, name = '', value = ''] = /^([^:\s]+): (.+)\n$/.exec(readFileSync(path, 'utf8')) ?? []
  return { path, name, value, ...readValue(name, value) }
}

function readValue(name: string, value: string): Pick<HeaderFile, 'token' | 'authorization'> {
  const [scheme, credentials = ''] = value.split(' ')
  if (scheme === 'Bearer') return { token: credentials, authorization: { kind: 'bearer', token: credentials } }
  if (scheme !== 'Basic') return { token: value, authorization: { kind: 'header', name, value } }
  const [username = '', password = ''] = Buffer.from(credentials, 'base64').toString().split(':')
  return { token: password, authorization: { kind: 'basic', username, password } }
}

export interface LineAnswer {
  readonly ResultCode: string
  readonly Description?: string
}

/** One connection of a network server whose headers the test writes itself, some of them twice. */
export class HeaderLine implements Disposable {
  readonly #url: string
  readonly #agent: Agent
  #transactionId = 0
  /** Of this side of the connection that the last answer came on. */
  port = 0

  constructor(
    server: ServerProcess,
    { data }: Installation,
    certificate?: { readonly cert: Buffer; readonly key: Buffer },
  ) {
    this.#url = server.biUrl
    this.#agent = new Agent({ ...certificate, ca: readFileSync(join(data, 'ca.pem')), keepAlive: true, maxSockets: 1 })
  }

  /** A JoinReq with these headers, which are name and value in turn. */
  join(
    frame: Uint8Array,
    identity: Device['identity'],
    senderId: NetId,
    headers: readonly string[],
  ): Promise<LineAnswer> {
    const { devEui, joinEui: receiverId, macVersion } = identity
    const body = encodeJoinReq(
      {
        ...{ protocolVersion: '1.0', senderId, receiverId, devEui, macVersion, phyPayload: frame },
        ...{ devAddr: parseDevAddr('26000001'), dlSettings: 0, rxDelay: 1 },
      },
      ++this.#transactionId,
    )
    const all = ['Host', 'js', 'Content-Length', String(Buffer.byteLength(body)), ...headers]
    return new Promise((resolve, reject) => {
      const sent = request(this.#url, { method: 'POST', agent: this.#agent, headers: all }, (response) => {
        this.port = response.socket.localPort ?? 0
        let text = ''
        response.setEncoding('utf8').on('data', (chunk: string) => (text += chunk))
        response.on('error', reject)
        response.on('end', () => {
          resolve((JSON.parse(text) as { Result: LineAnswer }).Result)
        })
      })
      sent.on('error', reject)
      sent.end(body)
    })
  }

  [Symbol.dispose](): void {
    this.#agent.destroy()
  }
}
