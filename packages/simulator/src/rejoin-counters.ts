import { MAX_RJ_COUNT, type RejoinType } from '@mortise/lorawan'
import { DeviceError } from './device-error.ts'

/**
 * RJcount0 and RJcount1 of one device (LoRaWAN 1.1 §6.2.4): types 0 and 2 share the one, which begins anew with every
 * join-accept; the other lasts as long as the JoinEUI. Neither wraps around.
 */
export class RejoinCounters {
  #rjCount0 = 0
  #rjCount1 = 0

  /** @throws {DeviceError} `rj_count_exhausted` */
  next(rejoinType: RejoinType): number {
    const count = rejoinType === 1 ? this.#rjCount1++ : this.#rjCount0++
    if (count <= MAX_RJ_COUNT) return count
    throw new DeviceError('rj_count_exhausted', `Every RJcount of rejoin type ${rejoinType} has been used.`)
  }

  /** A join-accept was taken. */
  activated(): void {
    this.#rjCount0 = 0
  }
}
