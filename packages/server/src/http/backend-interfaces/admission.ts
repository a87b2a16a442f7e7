import { type FailureCode, parseMessage, type RequestType } from '@mortise/backend-interfaces'
import type { AuthenticatedPeer } from '../../identity/index.ts'
import { FairShare, type ShareRefusal } from '../../fair-share.ts'
import { ADMISSION_LIMITS, type AdmissionLimits } from '../limits.ts'
import { refuseBusy } from './busy.ts'
import { dialectFor, type MessageHandler } from './handle-message.ts'
import { FIRST_HAND } from './message-context.ts'

/** How much one answer counts: one that was slow for reasons of its own says little. */
const WEIGHT = 1 / 32

/** What takes less was refused without the trust boundary, and did not wait for those before it. */
const QUICK_MS = 5

export interface AdmissionOptions {
  readonly limits?: AdmissionLimits
  /** A message was answered with a refusal and otherwise not looked at. */
  readonly refused: (reason: ShareRefusal, messageType: RequestType, result: FailureCode) => void
}

/**
 * Messages in flight, shared out among the peers that sent them: who comes when too many wait is told so at once, instead
 * of after the network server has given up. What is refused burns no DevNonce.
 */
export class Admission {
  readonly #limits: AdmissionLimits
  readonly #refused: AdmissionOptions['refused']
  readonly #shares: FairShare

  constructor({ limits = ADMISSION_LIMITS, refused }: AdmissionOptions) {
    this.#limits = limits
    this.#refused = refused
    this.#shares = new FairShare(limits.messages, 2 * limits.mostMessages)
  }

  /** Messages that are being answered. */
  get inFlight(): number {
    return this.#shares.taken
  }

  /** How many may be in flight at present. */
  get places(): number {
    return Math.floor(this.#shares.places)
  }

  /**
   * `handle`, for messages that are admitted. Strangers take no place: they are refused without any work. A message that
   * was handed over gives its place back: how long another join server takes says nothing of this one.
   */
  guard(handle: MessageHandler): MessageHandler {
    return async (caller, body, context = FIRST_HAND) => {
      if (typeof caller === 'string') return handle(caller, body, context)
      const reason = this.#shares.enter(caller.id)
      if (reason !== undefined) return this.#refuse(reason, caller, body) ?? handle(caller, body, context)
      const ahead = this.#shares.taken
      const started = performance.now()
      let isInPlace = true
      const leave = (): void => {
        if (!isInPlace) return
        isInPlace = false
        this.#shares.leave(caller.id)
        this.#adapt(ahead, performance.now() - started)
      }
      try {
        return await handle(caller, body, { ...context, handedOver: leave })
      } finally {
        leave()
      }
    }
  }

  /** Undefined for what is no request, and needs no place to be told so. */
  #refuse(reason: ShareRefusal, caller: AuthenticatedPeer, body: Uint8Array) {
    const message = parseMessage(body, dialectFor(caller))
    if (message.kind !== 'message') return undefined
    this.#refused(reason, message.header.messageType, 'Other')
    return refuseBusy(caller, message.header)
  }

  /**
   * Lets places follow from how fast messages are answered: one that was the last of `ahead` in flight when it came, and
   * took `ms`, says how many are answered in the time allowed. That there could be more than now, it says only if there
   * is a use for them.
   */
  #adapt(ahead: number, ms: number): void {
    const { mostMessages, leastMessages, answerWithinMs } = this.#limits
    const { places } = this.#shares
    if (ms < QUICK_MS) return
    const timely = Math.min(mostMessages, (ahead * answerWithinMs) / ms)
    if (timely > places && 2 * ahead < places) return
    this.#shares.places = Math.max(leastMessages, places + WEIGHT * (timely - places))
  }
}
