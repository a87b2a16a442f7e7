import { extendFCnt, MAX_F_CNT } from '@mortise/lorawan'
import { ApplicationServerError } from '../errors.ts'
import { requireCounter } from '../payload.ts'
import { MAX_F_CNT_GAP, type UplinkCounter } from '../session.ts'

/**
 * How many counters below the highest one are remembered one by one. Brokers and webhooks deliver out of order; an
 * uplink that comes so late is still told from one that comes twice.
 */
export const LATE_UPLINKS = 32

/** Which uplinks of a session were accepted: the highest, and which of the 32 before it. */
export interface UplinkWindow {
  /** Absent until an uplink was accepted. */
  readonly lastFCntUp?: number | undefined
  /** Bit n is set when lastFCntUp - 1 - n was accepted; 32 bits. */
  readonly lateFCntUp: number
}

/** A window with at least one uplink. */
export interface OpenWindow extends UplinkWindow {
  readonly lastFCntUp: number
}

/** The window with `fCnt` accepted, or why it is not: `repeated` was accepted before, `too_old` is not known any more. */
export function acceptInWindow(window: UplinkWindow, fCnt: number): OpenWindow | 'repeated' | 'too_old' {
  const { lastFCntUp, lateFCntUp } = window
  if (lastFCntUp === undefined) return { lastFCntUp: fCnt, lateFCntUp: 0 }
  if (fCnt > lastFCntUp) return { lastFCntUp: fCnt, lateFCntUp: moveOn(lateFCntUp, fCnt - lastFCntUp) }
  const late = lastFCntUp - fCnt
  if (late > LATE_UPLINKS) return 'too_old'
  const bit = late === 0 ? 0 : 1 << (late - 1)
  if (late === 0 || (lateFCntUp & bit) !== 0) return 'repeated'
  return { lastFCntUp, lateFCntUp: (lateFCntUp | bit) >>> 0 }
}

function moveOn(late: number, by: number): number {
  if (by > LATE_UPLINKS) return 0
  // A shift by 32 is one by 0 in JavaScript.
  const moved = by === LATE_UPLINKS ? 0 : late << by
  return (moved | (1 << (by - 1))) >>> 0
}

/**
 * The full counter of an uplink. Of 16 bits alone it is the one within the window, or the lowest above it, at most
 * MAX_FCNT_GAP ahead: there is no MIC here that could tell an old frame from a roll-over.
 * @throws {ApplicationServerError} `f_cnt_invalid`; `f_cnt_replayed`: of the 16 bits alone no counter can be told
 */
export function fullFCntUp({ lastFCntUp }: UplinkWindow, counter: UplinkCounter): number {
  if ('fCnt' in counter) {
    requireCounter(counter.fCnt, MAX_F_CNT)
    return counter.fCnt
  }
  requireCounter(counter.fCnt16, 0xffff)
  if (lastFCntUp === undefined) return counter.fCnt16
  const back = (((lastFCntUp - counter.fCnt16) % 0x10000) + 0x10000) % 0x10000
  if (back <= LATE_UPLINKS && back <= lastFCntUp) return lastFCntUp - back
  const full = extendFCnt(lastFCntUp, counter.fCnt16)
  if (full !== undefined && full - lastFCntUp <= MAX_F_CNT_GAP) return full
  throw new ApplicationServerError('f_cnt_replayed', `The uplink of FCnt ${counter.fCnt16} is not newer than the last.`)
}
