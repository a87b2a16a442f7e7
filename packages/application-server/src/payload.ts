import { createBlockCipher } from '#aes'
import { cryptFrmPayload, type DevAddr, type Direction, MAX_F_CNT, MAX_FRM_PAYLOAD_SIZE } from '@mortise/lorawan'
import type { AppSKey } from './app-s-key.ts'
import { ApplicationServerError } from './errors.ts'

/** What decides the key stream of one frame, beside the key. */
export interface PayloadContext {
  readonly direction: Direction
  readonly devAddr: DevAddr
  /** The full counter, 32 bits. */
  readonly fCnt: number
}

/**
 * Encrypts or decrypts FRMPayload, which is the same operation (LoRaWAN 1.0.3 §4.3.3). It neither checks nor changes a
 * counter: that is the session's part.
 * @throws {ApplicationServerError} `f_cnt_invalid`, `payload_size`, `secret_disposed`
 */
export function cryptPayload(appSKey: AppSKey, context: PayloadContext, payload: Uint8Array): Uint8Array {
  const { direction, devAddr, fCnt } = context
  requireCounter(fCnt, MAX_F_CNT)
  requirePayloadSize(payload)
  return appSKey.use((key) => cryptFrmPayload(createBlockCipher(key), direction, devAddr, fCnt, payload))
}

/**
 * FPort 1 to 255 is encrypted under AppSKey; FPort 0 under a key of the network (LoRaWAN 1.0.3 §4.3.3.1).
 * @throws {ApplicationServerError} `f_port_not_application`
 */
export function requireApplicationPort(fPort: number): void {
  if (Number.isInteger(fPort) && fPort >= 1 && fPort <= 255) return
  throw new ApplicationServerError('f_port_not_application', `FPort ${fPort} is not the application's.`)
}

/** @throws {ApplicationServerError} `f_cnt_invalid`: not an integer of 0 to `max` */
export function requireCounter(fCnt: number, max: number): void {
  if (Number.isInteger(fCnt) && fCnt >= 0 && fCnt <= max) return
  throw new ApplicationServerError('f_cnt_invalid', `${fCnt} is no frame counter of 0 to ${max}.`)
}

/** @throws {ApplicationServerError} `payload_size`: above 242 bytes */
export function requirePayloadSize(payload: Uint8Array): void {
  if (payload.length <= MAX_FRM_PAYLOAD_SIZE) return
  throw new ApplicationServerError('payload_size', `A payload of ${payload.length} bytes fits no frame.`)
}
