import { AnswerError, type KeyEnvelope } from '@mortise/backend-interfaces'
import type { AppSKeyClient } from '../app-s-key-client.ts'
import { ApplicationServerError } from '../errors.ts'
import { requireWrapped, type StoredSession, type WrappedAppSKey } from './stored-session.ts'

/** How long a session is not asked for again after the join server gave no key. */
export const ASK_AGAIN_AFTER_MS = 60_000

/** How many sessions without a key are remembered; the oldest is asked for again first. */
const MAX_REFUSALS = 10_000

interface Refusal {
  readonly untilMs: number
  readonly error: ApplicationServerError | AnswerError
}

/**
 * Asks the join server for the AppSKeys of sessions that came without one: one request at a time for a session, and
 * after a failure none for a minute, whoever asks.
 */
export class EnvelopeSource {
  readonly #client: Pick<AppSKeyClient, 'fetchEnvelope'> | undefined
  readonly #now: () => number
  readonly #underWay = new Map<string, Promise<WrappedAppSKey>>()
  readonly #refusals = new Map<string, Refusal>()

  constructor(client: Pick<AppSKeyClient, 'fetchEnvelope'> | undefined, now: () => number) {
    this.#client = client
    this.#now = now
  }

  /**
   * @throws {ApplicationServerError} `join_server_missing`, and as {@link AppSKeyClient.fetchEnvelope}
   * @throws {AnswerError} when there is no usable answer
   */
  async envelopeOf(session: StoredSession): Promise<WrappedAppSKey> {
    const refusal = this.#refusals.get(session.id)
    if (refusal !== undefined && refusal.untilMs > this.#now()) throw refusal.error
    const underWay = this.#underWay.get(session.id) ?? this.#begin(session)
    return await underWay
  }

  #begin(session: StoredSession): Promise<WrappedAppSKey> {
    const asking = this.#ask(session).finally(() => this.#underWay.delete(session.id))
    this.#underWay.set(session.id, asking)
    return asking
  }

  async #ask(session: StoredSession): Promise<WrappedAppSKey> {
    try {
      const envelope = requireWrapped(await this.#fetch(session))
      this.#refusals.delete(session.id)
      return envelope
    } catch (error) {
      if (error instanceof ApplicationServerError || error instanceof AnswerError) this.#refuse(session, error)
      throw error
    }
  }

  async #fetch({ devEui, joinEui, sessionKeyId }: StoredSession): Promise<KeyEnvelope> {
    if (this.#client === undefined) throw missing('There is no join server to ask for the AppSKey.')
    if (joinEui === undefined) throw missing('The join server cannot be asked: no event tells the JoinEUI.')
    if (sessionKeyId === undefined) throw missing('The join server cannot be asked: no event tells the SessionKeyID.')
    return await this.#client.fetchEnvelope({ devEui, joinEui, sessionKeyId })
  }

  #refuse({ id }: StoredSession, error: Refusal['error']): void {
    this.#refusals.delete(id)
    const [oldest] = this.#refusals.keys()
    if (oldest !== undefined && this.#refusals.size >= MAX_REFUSALS) this.#refusals.delete(oldest)
    this.#refusals.set(id, { untilMs: this.#now() + ASK_AGAIN_AFTER_MS, error })
  }
}

function missing(message: string): ApplicationServerError {
  return new ApplicationServerError('join_server_missing', message)
}
