import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { Agent, request } from 'node:https'
import { join } from 'node:path'
import { encodeJoinReq } from '@mortise/backend-interfaces'
import { hexToBytes, parseDevAddr, parseDevEui } from '@mortise/lorawan'
import type { Device } from '@mortise/simulator'
import type { Installation } from './installation.ts'
import { AS_ID, JOIN_EUI, loadDevice, NET_ID } from './parties.ts'

/** What became of one JoinReq. */
export interface JoinReply {
  /** ResultCode. */
  readonly result: string
  readonly description: string | undefined
  /** These are there when it succeeded. */
  readonly joinNonce: number | undefined
  readonly sessionKeyId: string | undefined
}

/** Devices of LoRaWAN 1.0.4, enrolled with one command, which may have further options. */
export async function enrolDevices(installation: Installation, count: number, ...options: string[]): Promise<Device[]> {
  const devices = Array.from({ length: count }, () => ({
    devEui: parseDevEui(randomBytes(8).toString('hex')),
    appKey: randomBytes(16),
  }))
  const lines = devices.map(({ devEui, appKey }) =>
    JSON.stringify({
      ...{ devEui, joinEui: JOIN_EUI, macVersion: '1.0.4', appKey: appKey.toString('hex') },
      ...{ as: AS_ID, networks: [NET_ID] },
    }),
  )
  const file = installation.secret(`devices-${devices[0]?.devEui ?? ''}`, `${lines.join('\n')}\n`)
  await installation.mortise('device', 'add', '--file', file, ...options)
  return devices.map(({ devEui, appKey }) => loadDevice(devEui, '1.0.4', { appKey }))
}

/** One connection of a network server, over which one device joins again and again, one JoinReq at a time. */
export class JoinLine implements Disposable {
  readonly device: Device
  readonly #url: string
  readonly #agent: Agent
  #port = 0
  #transactionId = 0

  /** `directory` has the certificate of the network server. */
  constructor(url: string, directory: string, device: Device) {
    const [ca, cert, key] = ['ca.pem', 'cert.pem', 'key.pem'].map((name) => readFileSync(join(directory, name)))
    this.#url = url
    this.#agent = new Agent({ ca, cert, key, keepAlive: true, maxSockets: 1 })
    this.device = device
  }

  /** Of this side of the connection. */
  get port(): number {
    return this.#port
  }

  /** Sends a join-request, and lets the device check the join-accept when one comes. */
  async join(): Promise<JoinReply> {
    const frame = await this.device.joinRequest()
    const { Result, PHYPayload, SessionKeyID } = await this.#post(frame)
    const joinNonce =
      PHYPayload === undefined ? undefined : (await this.device.handleJoinAccept(hexToBytes(PHYPayload))).joinNonce
    return { result: Result.ResultCode, description: Result.Description, joinNonce, sessionKeyId: SessionKeyID }
  }

  [Symbol.dispose](): void {
    this.#agent.destroy()
  }

  #post(phyPayload: Uint8Array): Promise<JoinAnsMembers> {
    const text = encodeJoinReq(
      {
        ...{ protocolVersion: '1.0', senderId: NET_ID, receiverId: JOIN_EUI, macVersion: '1.0.4', phyPayload },
        ...{ devEui: this.device.identity.devEui, devAddr: parseDevAddr('26000001'), dlSettings: 0, rxDelay: 1 },
      },
      ++this.#transactionId,
    )
    return new Promise((resolve, reject) => {
      const sent = request(this.#url, { method: 'POST', agent: this.#agent }, (response) => {
        this.#port = response.socket.localPort ?? 0
        const chunks: Buffer[] = []
        response.on('data', (chunk: Buffer) => chunks.push(chunk))
        response.on('error', reject)
        response.on('end', () => {
          resolve(JSON.parse(Buffer.concat(chunks).toString()) as JoinAnsMembers)
        })
      })
      sent.on('error', reject)
      sent.end(text)
    })
  }
}

interface JoinAnsMembers {
  readonly Result: { readonly ResultCode: string; readonly Description?: string }
  readonly PHYPayload?: string
  readonly SessionKeyID?: string
}
