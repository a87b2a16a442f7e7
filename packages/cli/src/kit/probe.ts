import { randomBytes, randomInt } from 'node:crypto'
import { request } from 'node:https'
import { isIP } from 'node:net'
import { connectTls, encodeJoinReq, MAX_BODY_BYTES } from '@mortise/backend-interfaces'
import { type DevEui, hexToBytes, type JoinEui, parseDevAddr, parseDevEui } from '@mortise/lorawan'
import { errorCode } from '../errors.ts'
import type { Credentials } from './check-files.ts'
import { endpointOf } from './check-network.ts'
import type { NetworkServerSetup } from './setup.ts'

/** As long as the most patient network server waits for a join-accept. */
const ANSWER_TIMEOUT_MS = 10_000
const JOIN_REQUEST_MHDR = 0x00

/** What came back over HTTP. */
export interface ProbeAnswer {
  readonly status: number
  readonly contentType: string
  /** Milliseconds since 1970, by the server's clock; undefined without a Date header. */
  readonly dateMs: number | undefined
  readonly body: Buffer
}

/** Asks the join server as the network server would, with its certificate, in its words. */
export class Probe {
  readonly #setup: NetworkServerSetup
  readonly #credentials: Credentials

  constructor(setup: NetworkServerSetup, credentials: Credentials) {
    this.#setup = setup
    this.#credentials = credentials
  }

  /**
   * A JoinReq with a frame of one byte: refused with FrameSizeError by a join server that knows the sender and understands
   * the message. No device is looked up.
   */
  async malformedFrame(joinEui: JoinEui): Promise<ProbeAnswer | { readonly problem: string }> {
    return this.#joinReq(joinEui, randomDevEui(), Uint8Array.of(JOIN_REQUEST_MHDR))
  }

  /**
   * A JoinReq with a forged MIC. A device that is known, and may join through this network, is refused with MICFailed: that
   * comes before its DevNonces are touched. (One forgery in 2^32 is no forgery.)
   */
  async forgedJoin(joinEui: JoinEui, devEui = randomDevEui()): Promise<ProbeAnswer | { readonly problem: string }> {
    const nonceAndMic = randomBytes(6)
    const eui = (text: string): Buffer => Buffer.from(hexToBytes(text)).reverse()
    return this.#joinReq(
      joinEui,
      devEui,
      Buffer.concat([Buffer.of(JOIN_REQUEST_MHDR), eui(joinEui), eui(devEui), nonceAndMic]),
    )
  }

  #joinReq(
    joinEui: JoinEui,
    devEui: DevEui,
    phyPayload: Uint8Array,
  ): Promise<ProbeAnswer | { readonly problem: string }> {
    const { dialect, protocolVersion, netId, nsId } = this.#setup
    const style = dialect.asks
    const transactionId = style.transactionId === 'zero' ? 0 : randomInt(0x1_0000_0000)
    const message = {
      ...{ protocolVersion, senderId: netId, senderNsId: nsId, receiverId: joinEui },
      ...{ macVersion: '1.0.3', phyPayload, devEui, devAddr: parseDevAddr('00000000'), dlSettings: 0, rxDelay: 1 },
    }
    return this.#post(encodeJoinReq(message, transactionId, style))
  }

  #post(body: string): Promise<ProbeAnswer | { readonly problem: string }> {
    const { url, headers, dialect } = this.#setup
    return new Promise((resolve) => {
      const fail = (error: Error): void => {
        resolve({ problem: errorCode(error) ?? error.message })
      }
      const { host, port } = endpointOf(url)
      const servername = isIP(host) === 0 ? host : ''
      const sent = request(url, {
        method: 'POST',
        createConnection: () => connectTls({ host, port, servername, minVersion: 'TLSv1.2', ...this.#credentials }),
        headers: { ...dialect.asks.httpHeaders, ...headers, 'content-length': Buffer.byteLength(body) },
        signal: AbortSignal.timeout(ANSWER_TIMEOUT_MS),
      })
      sent.on('error', fail)
      sent.on('response', (response) => {
        const chunks: Buffer[] = []
        let length = 0
        response.on('error', fail)
        response.on('data', (chunk: Buffer) => {
          length += chunk.length
          if (length > MAX_BODY_BYTES) response.destroy(new Error('answer too large'))
          else chunks.push(chunk)
        })
        response.on('end', () => {
          const { 'content-type': contentType = '', date } = response.headers
          resolve({
            status: response.statusCode ?? 0,
            contentType,
            dateMs: date === undefined || Number.isNaN(Date.parse(date)) ? undefined : Date.parse(date),
            body: Buffer.concat(chunks),
          })
        })
      })
      sent.end(body)
    })
  }
}

/** None that anybody has: random where the manufacturer's number would stand. */
function randomDevEui(): DevEui {
  return parseDevEui(randomBytes(8).toString('hex'))
}
