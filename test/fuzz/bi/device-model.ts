import type { EnrolledDevice } from './world.ts'

/** A join that the server said yes to. */
export interface AcceptedJoin {
  /** Everything that the answer depends on, as text. */
  readonly identity: string
  readonly devNonce: number
  readonly joinNonce: number
  /** The answer without what belongs to the request: header, TransactionID, tokens. */
  readonly answer: string
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

  accept(join: AcceptedJoin): void {
    const { devNonce } = join
    this.#used[devNonce >> 3] = (this.#used[devNonce >> 3] ?? 0) | (1 << (devNonce & 7))
    this.#highest = Math.max(this.#highest, devNonce)
    this.#sessions = [join, ...this.#sessions].slice(0, SESSIONS_KEPT)
  }

  findSession(sessionKeyId: string): AcceptedJoin | undefined {
    return this.#sessions.find((session) => session.sessionKeyId === sessionKeyId)
  }
}
