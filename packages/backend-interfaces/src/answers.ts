import { bytesToHex, type DevEui } from '@mortise/lorawan'
import { MAX_SESSION_KEY_ID_BYTES } from './app-s-key-req.ts'
import { CLEAR_KEY_SIZE, isWrapped, type KeyEnvelope, WRAPPED_KEY_SIZE } from './key-envelope.ts'
import type { PartialHeader, RequestHeader } from './parse-header.ts'
import { type FailureCode, resultCodeFor } from './result-codes.ts'

/**
 * The network session keys of one join. A set is complete by its type, because ChirpStack and The Things Stack both
 * panic over an incomplete one.
 */
export type NetworkSessionKeys =
  /** LoRaWAN 1.0.x, or 1.1 with OptNeg 0. */
  | { readonly nwkSKey: KeyEnvelope }
  /** LoRaWAN 1.1 with OptNeg 1. */
  | { readonly fNwkSIntKey: KeyEnvelope; readonly sNwkSIntKey: KeyEnvelope; readonly nwkSEncKey: KeyEnvelope }

/** What a successful JoinAns carries (TS002 1.0 §8 step 4). */
export interface JoinOutcome {
  /** The join-accept frame: 17 bytes, or 33 with a CFList. */
  readonly phyPayload: Uint8Array
  readonly networkKeys: NetworkSessionKeys
  readonly appSKey?: KeyEnvelope | undefined
  /** 1 to 64 bytes. */
  readonly sessionKeyId?: Uint8Array | undefined
  /** Seconds, unsigned 32-bit; 0 means unlimited. */
  readonly lifetime: number
}

/** What a successful AppSKeyAns carries (TS002 1.0 §8 step 8). */
export interface AppSKeyOutcome {
  readonly devEui: DevEui
  readonly sessionKeyId: Uint8Array
  readonly appSKey: KeyEnvelope
}

/** The header members of an answer, spelled as on the wire; undefined ones are not sent. */
export interface AnswerHeader {
  readonly ProtocolVersion: string
  readonly MessageType: string | undefined
  readonly SenderID: string | undefined
  readonly ReceiverID: string | undefined
  readonly TransactionID: number | undefined
  readonly ReceiverNSID: string | undefined
  readonly SenderToken: string | undefined
  readonly ReceiverToken: string | undefined
}

export const MAX_LIFETIME = 0xffffffff

/**
 * The header that answers `header`: identifiers, NSID and tokens change sides, Req becomes Ans. Identifiers are echoed
 * as received, because ChirpStack v3 compares them as text.
 */
export function answerHeader(header: PartialHeader): AnswerHeader {
  return {
    ProtocolVersion: header.protocolVersion,
    MessageType: header.messageType?.endsWith('Req') ? `${header.messageType.slice(0, -3)}Ans` : undefined,
    SenderID: header.receiverIdText,
    ReceiverID: header.senderIdText,
    TransactionID: header.transactionId,
    ReceiverNSID: header.senderNsId,
    SenderToken: header.receiverToken,
    ReceiverToken: header.senderToken,
  }
}

/**
 * A JoinAns with Result Success, as JSON text. It is put together by hand, since every join passes here: hex cannot
 * need escaping, and whatever else comes from outside goes through JSON.stringify.
 * @throws RangeError when a value has not the size that its member demands
 */
export function encodeJoinAns(header: RequestHeader, outcome: JoinOutcome): string {
  const { phyPayload, networkKeys, appSKey, sessionKeyId, lifetime } = outcome
  if (phyPayload.length !== 17 && phyPayload.length !== 33) throw new RangeError('A join-accept has 17 or 33 bytes.')
  if (!Number.isInteger(lifetime) || lifetime < 0 || lifetime > MAX_LIFETIME) {
    throw new RangeError('Lifetime is an unsigned 32-bit number of seconds.')
  }
  let json = `${openSuccess(header)},"PHYPayload":"${bytesToHex(phyPayload)}","Lifetime":${lifetime}`
  if ('nwkSKey' in networkKeys) {
    json += `,"NwkSKey":${encodeKeyEnvelope(networkKeys.nwkSKey)}`
  } else {
    json += `,"FNwkSIntKey":${encodeKeyEnvelope(networkKeys.fNwkSIntKey)}`
    json += `,"SNwkSIntKey":${encodeKeyEnvelope(networkKeys.sNwkSIntKey)}`
    json += `,"NwkSEncKey":${encodeKeyEnvelope(networkKeys.nwkSEncKey)}`
  }
  if (appSKey !== undefined) json += `,"AppSKey":${encodeKeyEnvelope(appSKey)}`
  if (sessionKeyId !== undefined) json += `,"SessionKeyID":${encodeSessionKeyId(sessionKeyId)}`
  return `${json}}`
}

/**
 * An AppSKeyAns with Result Success, as JSON text.
 * @throws RangeError when a value has not the size that its member demands
 */
export function encodeAppSKeyAns(header: RequestHeader, outcome: AppSKeyOutcome): string {
  const sessionKeyId = encodeSessionKeyId(outcome.sessionKeyId)
  const appSKey = encodeKeyEnvelope(outcome.appSKey)
  return `${openSuccess(header)},"DevEUI":"${outcome.devEui}","SessionKeyID":${sessionKeyId},"AppSKey":${appSKey}}`
}

/**
 * Any refusal, as JSON text, in the spelling of the peer's protocol version. Both network servers show `description` to
 * their operators as it is: it should say what to do, and hold no secret.
 */
export function encodeFailure(header: PartialHeader, result: FailureCode, description: string): string {
  return JSON.stringify({
    ...answerHeader(header),
    Result: { ResultCode: resultCodeFor(result, header.protocolVersion), Description: description },
  })
}

function openSuccess(header: RequestHeader): string {
  return `${JSON.stringify(answerHeader(header)).slice(0, -1)},"Result":{"ResultCode":"Success"}`
}

/** A label says that the key is wrapped, to every known peer; so a label and a size that disagree are never sent. */
function encodeKeyEnvelope(envelope: KeyEnvelope): string {
  const { kekLabel, aesKey } = envelope
  if (!isWrapped(envelope)) {
    if (aesKey.length !== CLEAR_KEY_SIZE) throw new RangeError('A key without KEK label has 16 bytes.')
    return `{"AESKey":"${bytesToHex(aesKey)}"}`
  }
  if (aesKey.length !== WRAPPED_KEY_SIZE) throw new RangeError('A key with KEK label has 24 bytes.')
  return `{"KEKLabel":${JSON.stringify(kekLabel)},"AESKey":"${bytesToHex(aesKey)}"}`
}

function encodeSessionKeyId(id: Uint8Array): string {
  if (id.length === 0 || id.length > MAX_SESSION_KEY_ID_BYTES) {
    throw new RangeError(`A SessionKeyID has 1 to ${MAX_SESSION_KEY_ID_BYTES} bytes.`)
  }
  return `"${bytesToHex(id)}"`
}
