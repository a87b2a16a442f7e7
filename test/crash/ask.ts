import { AnswerError, encodeAppSKeyReq, parseAppSKeyAns } from '@mortise/backend-interfaces'
import { bytesToHex, hexToBytes } from '@mortise/lorawan'
// The database keeps so many sessions of a key set; which ones must still be there follows from it.
import { SESSIONS_KEPT } from '../../packages/server/src/storage/index.ts'
import { AS_ID } from '../support/parties.ts'
import type { FleetDevice } from './fleet.ts'
import { type JoinRequest, joinReqBody } from './join-request.ts'
import type { JoinSuccess } from './key-set-model.ts'
import type { Model } from './model.ts'
import { DisagreementError, type Keks, openEnvelope, openJoinAns, readJoinAns, type ReadAnswer } from './open-answer.ts'
import type { Service } from './service.ts'

export type Decision = 'success' | 'replayed' | 'undecided'

/** Refusals that say nothing about the request itself: it may be made again. */
const UNDECIDED: ReadonlySet<string> = new Set(['Other', 'JoinReqFailed'])

export interface AskOptions {
  readonly service: Service
  readonly model: Model
  readonly keks: Keks
  /** A join was answered that was sent at this time (performance.now()). */
  readonly answered: (sentAtMs: number) => void
}

/** Sends one message of a network server or application server, and books what comes of it. */
export class Ask {
  readonly #options: AskOptions
  #transactionId = 0

  constructor(options: AskOptions) {
    this.#options = options
  }

  get model(): Model {
    return this.#options.model
  }

  async join(device: FleetDevice, request: JoinRequest): Promise<Decision> {
    const { service, model } = this.#options
    // The server may be down for a while: what counts is when the request leaves.
    await service.listening()
    const attempt = device.keySet.sending(request.digest, request.devNonce)
    const sentAtMs = performance.now()
    const transactionId = this.#nextTransactionId()
    let answer: ReadAnswer | undefined
    try {
      answer = await this.#exchangeJoin(request, transactionId)
      if (answer === undefined) {
        model.unanswered(device.keySet, attempt)
        return 'undecided'
      }
      if (answer.kind === 'failure') return this.#failed(device, attempt, answer)
      const known = attempt.request.success
      const same = known !== undefined && known.comparable === answer.comparable
      model.succeeded(
        device.keySet,
        attempt,
        same ? known : await openJoinAns(device, request, answer, this.#options.keks),
      )
      this.#options.answered(sentAtMs)
      return 'success'
    } catch (error) {
      if (!(error instanceof DisagreementError)) throw error
      model.report('device_disagrees', `${device.keySet.name} DevNonce ${request.devNonce}: ${error.message}`)
      device.keySet.unresolved(attempt)
      return 'undecided'
    }
  }

  /** Asks for the AppSKey of an acknowledged session. False when there was no answer, or one that decides nothing. */
  async appSKey(device: FleetDevice, session: JoinSuccess): Promise<boolean> {
    const { service, model, keks } = this.#options
    const { devEui, joinEui } = device.identity
    const header = { protocolVersion: '1.1', senderId: AS_ID, receiverId: joinEui } as const
    const request = { ...header, devEui, sessionKeyId: hexToBytes(session.sessionKeyId) }
    try {
      const { body } = await service.post(AS_ID, encodeAppSKeyReq(request, this.#nextTransactionId()))
      const answer = parseAppSKeyAns(body)
      if (answer.resultCode === 'Success') {
        model.counts.appSKeys += 1
        device.keySet.sessionFound(session, bytesToHex(openEnvelope(answer.appSKey, keks)))
        return true
      }
      if (answer.resultCode === 'UnknownDevEUI') {
        device.keySet.sessionNotFound(session, SESSIONS_KEPT)
        return true
      }
      if (!UNDECIDED.has(answer.resultCode))
        model.report('unexpected_refusal', `AppSKeyReq ${devEui}: ${answer.resultCode} ${answer.description ?? ''}`)
      return false
    } catch (error) {
      if (isNoAnswer(error)) return false
      throw error
    }
  }

  async #exchangeJoin(request: JoinRequest, transactionId: number): Promise<ReadAnswer | undefined> {
    try {
      const { body } = await this.#options.service.post(request.senderId, joinReqBody(request, transactionId))
      return readJoinAns(body, transactionId)
    } catch (error) {
      if (isNoAnswer(error)) return undefined
      throw error
    }
  }

  #failed(
    device: FleetDevice,
    attempt: Parameters<Model['replayed']>[1],
    { resultCode, description }: Extract<ReadAnswer, { kind: 'failure' }>,
  ): Decision {
    const { model } = this.#options
    if (resultCode === 'FrameReplayed') {
      model.replayed(device.keySet, attempt)
      return 'replayed'
    }
    const reason = `${resultCode}: ${description}`
    if (UNDECIDED.has(resultCode)) model.undecided(device.keySet, attempt, reason)
    else model.refused(device.keySet, attempt, reason)
    return 'undecided'
  }

  #nextTransactionId(): number {
    this.#transactionId = (this.#transactionId + 1) % 2 ** 32
    return this.#transactionId
  }
}

/** The connection broke or nothing came in time; every other failure is a finding. */
function isNoAnswer(error: unknown): boolean {
  return error instanceof AnswerError && (error.code === 'connection' || error.code === 'timeout')
}
