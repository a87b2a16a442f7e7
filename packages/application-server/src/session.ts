import { type DevAddr, extendFCnt, MAX_F_CNT } from '@mortise/lorawan'
import type { AppSKey } from './app-s-key.ts'
import { ApplicationServerError } from './errors.ts'
import { cryptPayload, requireApplicationPort, requireCounter, requirePayloadSize } from './payload.ts'

/**
 * How far the counter of 16 bits may jump: MAX_FCNT_GAP of LoRaWAN 1.0.3 §4.3.1.5. The network server needs no such
 * limit, because the MIC tells it a roll-over from an old frame. Here there is no MIC, and without a limit every old
 * frame would count as a roll-over, decrypt to noise and move the counter on by 65536.
 */
export const MAX_F_CNT_GAP = 16384

/** An application's uplink as a network server passes it on, FRMPayload still encrypted. */
export type EncryptedUplink = { readonly fPort: number; readonly frmPayload: Uint8Array } & UplinkCounter

/** `fCnt` is the full counter, as the network server verified it; `fCnt16` the 16 bits on air, where it tells no more. */
export type UplinkCounter = { readonly fCnt: number } | { readonly fCnt16: number }

export interface DecryptedUplink {
  readonly fPort: number
  /** The full counter, 32 bits. */
  readonly fCnt: number
  readonly payload: Uint8Array
}

export interface ClearDownlink {
  /** 1 to 255. */
  readonly fPort: number
  /** Up to 242 bytes, fewer at low data rates. */
  readonly payload: Uint8Array
}

/** Ready for the queue of a network server, which must send it under exactly this counter. */
export interface EncryptedDownlink {
  readonly fPort: number
  readonly fCnt: number
  readonly frmPayload: Uint8Array
}

export interface SessionOptions {
  readonly devAddr: DevAddr
  /** Owned by the session from now on. */
  readonly appSKey: AppSKey
  /** The counter of the last uplink that was accepted; absent in a new session. */
  readonly lastFCntUp?: number
  /** The counter of the next downlink; 0 in a new session. */
  readonly nextFCntDown?: number
}

/**
 * One session of one device: decrypts its uplinks, each once, and encrypts its downlinks, each under a counter of its
 * own. The counters live in memory; a caller that restarts must keep `nextFCntDown`, because the same counter twice
 * reveals both payloads.
 *
 * LoRaWAN gives the application no MIC of its own: that a ciphertext is the device's is what the network server says.
 */
export class Session implements Disposable {
  readonly devAddr: DevAddr
  readonly #appSKey: AppSKey
  #lastFCntUp: number | undefined
  #nextFCntDown: number

  constructor({ devAddr, appSKey, lastFCntUp, nextFCntDown = 0 }: SessionOptions) {
    if (lastFCntUp !== undefined) requireCounter(lastFCntUp, MAX_F_CNT)
    requireCounter(nextFCntDown, MAX_F_CNT + 1)
    this.devAddr = devAddr
    this.#appSKey = appSKey
    this.#lastFCntUp = lastFCntUp
    this.#nextFCntDown = nextFCntDown
  }

  get lastFCntUp(): number | undefined {
    return this.#lastFCntUp
  }

  get nextFCntDown(): number {
    return this.#nextFCntDown
  }

  /**
   * Decrypts an uplink that is newer than every one before. A refused one changes nothing.
   * @throws {ApplicationServerError} `f_port_not_application`, `f_cnt_invalid`, `f_cnt_replayed`, `payload_size`,
   * `secret_disposed`
   */
  decryptUplink(uplink: EncryptedUplink): DecryptedUplink {
    requireApplicationPort(uplink.fPort)
    const fCnt = this.#newerFCntUp(uplink)
    const payload = cryptPayload(this.#appSKey, { direction: 'up', devAddr: this.devAddr, fCnt }, uplink.frmPayload)
    this.#lastFCntUp = fCnt
    return { fPort: uplink.fPort, fCnt, payload }
  }

  /**
   * Encrypts a downlink under the next counter. In LoRaWAN 1.0.x the network counts its own downlinks with the same
   * counter: `networkNextFCntDown` is how far it has come, and a higher one than ours is taken over.
   * @throws {ApplicationServerError} `f_port_not_application`, `f_cnt_invalid`, `f_cnt_exhausted`, `payload_size`,
   * `secret_disposed`
   */
  encryptDownlink({ fPort, payload }: ClearDownlink, networkNextFCntDown = 0): EncryptedDownlink {
    requireApplicationPort(fPort)
    requirePayloadSize(payload)
    requireCounter(networkNextFCntDown, MAX_F_CNT + 1)
    const fCnt = Math.max(this.#nextFCntDown, networkNextFCntDown)
    if (fCnt > MAX_F_CNT) throw new ApplicationServerError('f_cnt_exhausted', 'FCntDown is used up; join again.')
    const frmPayload = cryptPayload(this.#appSKey, { direction: 'down', devAddr: this.devAddr, fCnt }, payload)
    this.#nextFCntDown = fCnt + 1
    return { fPort, fCnt, frmPayload }
  }

  [Symbol.dispose](): void {
    this.#appSKey[Symbol.dispose]()
  }

  #newerFCntUp(counter: UplinkCounter): number {
    const last = this.#lastFCntUp
    if ('fCnt' in counter) {
      requireCounter(counter.fCnt, MAX_F_CNT)
      if (last !== undefined && counter.fCnt <= last) throw replayed(counter.fCnt)
      return counter.fCnt
    }
    requireCounter(counter.fCnt16, 0xffff)
    const full = extendFCnt(last, counter.fCnt16)
    if (full === undefined || (last !== undefined && full - last > MAX_F_CNT_GAP)) throw replayed(counter.fCnt16)
    return full
  }
}

function replayed(fCnt: number): ApplicationServerError {
  return new ApplicationServerError('f_cnt_replayed', `The uplink of FCnt ${fCnt} is not newer than the last one.`)
}
