import { type AirRequest, JOIN_REQUEST } from '../air-requests.ts'
import type { EnrolledDevice } from './devices.ts'

/** A join or a rejoin that the server said yes to. */
export interface AcceptedJoin {
  /** Everything that the answer depends on, as text. */
  readonly identity: string
  /** What its frame counts with: DevNonce or RJcount. */
  readonly request: Pick<AirRequest, 'type' | 'count'>
  /** Of the network that has the session. */
  readonly netId: string
  readonly joinNonce: number
  /** The answer without what belongs to the request: header, TransactionID, tokens. */
  readonly answer: string
  /** Told in the answer, or not. */
  readonly sessionKeyId: string
  readonly appSKey: Buffer
}

/** docs/backend-interfaces.md: how many sessions of a device are kept. */
const SESSIONS_KEPT = 10
const COUNTER_VERSIONS = new Set(['1.0.4', '1.1.0'])

/** What the server must know of a device that one case at a time uses. */
export class DeviceModel {
  readonly device: EnrolledDevice
  readonly #used = new Uint8Array(8192)
  #highest = -1
  #highestRjCount1 = -1
  #sessions: AcceptedJoin[] = []

  constructor(device: EnrolledDevice) {
    this.device = device
  }

  get last(): AcceptedJoin | undefined {
    return this.#sessions[0]
  }

  /** The JoinNonce of the next new join. */
  get nextJoinNonce(): number {
    return (this.last?.joinNonce ?? 0) + 1
  }

  /** LoRaWAN 1.0.3 §6.2.4, 1.0.4 §6.2.2, 1.1 §6.2.5. */
  acceptsDevNonce(devNonce: number): boolean {
    if (COUNTER_VERSIONS.has(this.device.macVersion)) return devNonce > this.#highest
    return ((this.#used[devNonce >> 3] ?? 0) & (1 << (devNonce & 7))) === 0
  }

  /** LoRaWAN 1.1 §6.2.4.2: RJcount1 rises for as long as the JoinEUI is the same. */
  acceptsRjCount1(rjCount1: number): boolean {
    return rjCount1 > this.#highestRjCount1
  }

  accept(join: AcceptedJoin): void {
    const { type, count } = join.request
    if (type === JOIN_REQUEST) {
      this.#used[count >> 3] = (this.#used[count >> 3] ?? 0) | (1 << (count & 7))
      this.#highest = Math.max(this.#highest, count)
    }
    if (type === 1) this.#highestRjCount1 = count
    this.#sessions = [join, ...this.#sessions].slice(0, SESSIONS_KEPT)
  }

  findSession(sessionKeyId: string): AcceptedJoin | undefined {
    return this.#sessions.find((session) => session.sessionKeyId === sessionKeyId)
  }
}
