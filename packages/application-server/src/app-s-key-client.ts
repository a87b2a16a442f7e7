import type { AppSKeyAns, BackendInterfacesClient, KeyEnvelope, ProtocolVersion } from '@mortise/backend-interfaces'
import { bytesToHex, type DevEui, type JoinEui } from '@mortise/lorawan'
import type { AppSKey } from './app-s-key.ts'
import { ApplicationServerError } from './errors.ts'
import type { KekRing } from './kek-ring.ts'

export interface AppSKeyClientOptions {
  readonly joinServer: Pick<BackendInterfacesClient, 'appSKeyReq'>
  readonly kekRing: KekRing
  /** AS-ID, as the join server has it on record for the client certificate. */
  readonly asId: string
  readonly protocolVersion: ProtocolVersion
}

/** What names a session towards the join server (TS002 1.0 §8 step 8). */
export interface SessionReference {
  readonly devEui: DevEui
  readonly joinEui: JoinEui
  /** Opaque, 1 to 64 bytes, as the network server passed it on. */
  readonly sessionKeyId: Uint8Array
}

/** Asks the join server for AppSKeys by SessionKeyID. */
export class AppSKeyClient {
  readonly #options: AppSKeyClientOptions

  constructor(options: AppSKeyClientOptions) {
    this.#options = options
  }

  /**
   * Fetches and opens the AppSKey of one session.
   * @throws {ApplicationServerError} `request_refused`, `answer_mismatch`, and as {@link KekRing.unwrapAppSKey}
   * @throws {AnswerError} when there is no usable answer
   */
  async fetchAppSKey(session: SessionReference): Promise<AppSKey> {
    return this.#options.kekRing.unwrapAppSKey(await this.#fetch(session))
  }

  /**
   * Fetches the AppSKey of one session as it is on the wire, for keeping. It was seen to open.
   * @throws as {@link AppSKeyClient.fetchAppSKey}
   */
  async fetchEnvelope(session: SessionReference): Promise<KeyEnvelope> {
    const envelope = await this.#fetch(session)
    this.#options.kekRing.unwrapAppSKey(envelope)[Symbol.dispose]()
    return envelope
  }

  async #fetch(session: SessionReference): Promise<KeyEnvelope> {
    const { joinServer, asId, protocolVersion } = this.#options
    const { devEui, joinEui, sessionKeyId } = session
    const answer = await joinServer.appSKeyReq({
      protocolVersion,
      senderId: asId,
      receiverId: joinEui,
      devEui,
      sessionKeyId,
    })
    if (answer.resultCode !== 'Success') throw refusal(answer.resultCode, answer.description)
    requireSameSession(answer, session)
    return answer.appSKey
  }
}

function refusal(resultCode: Exclude<AppSKeyAns['resultCode'], 'Success'>, description = ''): ApplicationServerError {
  const message = `The join server refused: ${resultCode}. ${description}`.trimEnd()
  return new ApplicationServerError('request_refused', message, { resultCode })
}

function requireSameSession(answer: Pick<SessionReference, 'devEui' | 'sessionKeyId'>, asked: SessionReference): void {
  if (answer.devEui === asked.devEui && bytesToHex(answer.sessionKeyId) === bytesToHex(asked.sessionKeyId)) return
  throw new ApplicationServerError('answer_mismatch', 'The AppSKeyAns is about another device or session.')
}
