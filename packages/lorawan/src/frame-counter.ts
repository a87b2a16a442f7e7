import { FrameError } from './errors.ts'

const TURN = 0x10000

/** Frame counters have 32 bits, of which the low 16 are on air. At the end of them the session ends. */
export const MAX_F_CNT = 0xffff_ffff

/**
 * The full counter of a received frame: the lowest above `last`, the last one accepted, that ends in the 16 bits on air
 * (LoRaWAN 1.0.3 §4.3.1.5). Undefined for the same 16 bits again, a repetition or a replay, and beyond 2^32-1.
 *
 * It is a candidate: lower bits than those of `last` are read as a roll-over, also when the frame is an old one sent
 * again. Only the MIC over the full counter tells the two apart, so nothing may be stored before it is verified.
 *
 * There is no MAX_FCNT_GAP, which 1.0.4 no longer has. Up to 1.0.3 it was 16384, and it locks a device out for good
 * that was out of range for so long; what it refuses earlier the MIC refuses as surely.
 * @throws {FrameError} `frame_field`: fCnt16 is no number of 16 bits, but for example a full counter already.
 */
export function extendFCnt(last: number | undefined, fCnt16: number): number | undefined {
  if (!Number.isInteger(fCnt16) || fCnt16 < 0 || fCnt16 >= TURN) {
    throw new FrameError('frame_field', `${fCnt16} is no frame counter of 16 bits`)
  }
  if (last === undefined) return fCnt16
  const lastLow = last % TURN
  if (fCnt16 === lastLow) return undefined
  const full = last - lastLow + fCnt16 + (fCnt16 < lastLow ? TURN : 0)
  return full > MAX_F_CNT ? undefined : full
}
