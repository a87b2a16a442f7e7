import { hexToBytes, type NsId, parseDevEui, parseNetId, parseNsId } from '@mortise/lorawan'
import { AnswerError } from './answer-error.ts'
import {
  type AppSKeyOutcome,
  type HomeNsOutcome,
  type JoinOutcome,
  MAX_LIFETIME,
  type NetworkSessionKeys,
} from './answers.ts'
import { MAX_SESSION_KEY_ID_BYTES } from './app-s-key-req.ts'
import { isJsonObject, type Members, readJsonObject } from './json-object.ts'
import { CLEAR_KEY_SIZE, type KeyEnvelope, WRAPPED_KEY_SIZE } from './key-envelope.ts'
import { isProtocolVersion, type ProtocolVersion } from './protocol-version.ts'
import { type FailureCode, parseResultCode } from './result-codes.ts'
import { isAbsent, readHex, readHexOf, readUnsigned } from './wire-values.ts'

/** What every answer says of itself. */
interface AnswerBase {
  readonly protocolVersion: ProtocolVersion
  readonly transactionId: number
}

/** The join server understood the request and refused it. */
export interface FailureAns extends AnswerBase {
  readonly resultCode: FailureCode
  readonly description?: string | undefined
}

/** Also a RejoinAns, which carries the same. */
export type JoinAns = (AnswerBase & { readonly resultCode: 'Success' } & JoinOutcome) | FailureAns

export type AppSKeyAns = (AnswerBase & { readonly resultCode: 'Success' } & AppSKeyOutcome) | FailureAns

export type HomeNsAns = (AnswerBase & { readonly resultCode: 'Success' } & HomeNsOutcome) | FailureAns

/**
 * Reads a JoinAns body.
 * @throws AnswerError not_json, unexpected_message, unknown_result_code or malformed
 */
export function parseJoinAns(body: Uint8Array): JoinAns {
  return parseActivation(body, 'JoinAns')
}

/**
 * Reads a RejoinAns body.
 * @throws AnswerError not_json, unexpected_message, unknown_result_code or malformed
 */
export function parseRejoinAns(body: Uint8Array): JoinAns {
  return parseActivation(body, 'RejoinAns')
}

function parseActivation(body: Uint8Array, messageType: 'JoinAns' | 'RejoinAns'): JoinAns {
  const members = readAnswer(body, messageType)
  const answer = readBase(members)
  const result = readResult(members['Result'])
  if (result.resultCode !== 'Success') return { ...answer, ...result }
  return {
    ...answer,
    resultCode: 'Success',
    phyPayload: readJoinAccept(members['PHYPayload']),
    networkKeys: readNetworkKeys(members),
    appSKey: isAbsent(members['AppSKey']) ? undefined : readKeyEnvelope('AppSKey', members['AppSKey']),
    sessionKeyId: isAbsent(members['SessionKeyID']) ? undefined : readSessionKeyId(members['SessionKeyID']),
    lifetime: readLifetime(members['Lifetime']),
  }
}

/**
 * Reads an AppSKeyAns body.
 * @throws AnswerError not_json, unexpected_message, unknown_result_code or malformed
 */
export function parseAppSKeyAns(body: Uint8Array): AppSKeyAns {
  const members = readAnswer(body, 'AppSKeyAns')
  const answer = readBase(members)
  const result = readResult(members['Result'])
  if (result.resultCode !== 'Success') return { ...answer, ...result }
  const devEui = readHexOf(members['DevEUI'], 8)
  if (devEui === undefined) throw malformed('DevEUI must be hex of 8 bytes.')
  return {
    ...answer,
    resultCode: 'Success',
    devEui: parseDevEui(devEui),
    sessionKeyId: readSessionKeyId(members['SessionKeyID']),
    appSKey: readKeyEnvelope('AppSKey', members['AppSKey']),
  }
}

/**
 * Reads a HomeNSAns body.
 * @throws AnswerError not_json, unexpected_message, unknown_result_code or malformed
 */
export function parseHomeNsAns(body: Uint8Array): HomeNsAns {
  const members = readAnswer(body, 'HomeNSAns')
  const answer = readBase(members)
  const result = readResult(members['Result'])
  if (result.resultCode !== 'Success') return { ...answer, ...result }
  const hNetId = readHexOf(members['HNetID'], 3)
  if (hNetId === undefined) throw malformed('HNetID must be hex of 3 bytes.')
  return { ...answer, resultCode: 'Success', hNetId: parseNetId(hNetId), hNsId: readHNsId(members['HNSID']) }
}

/** @throws AnswerError not_json or unexpected_message */
export function readAnswer(body: Uint8Array, messageType: string): Members {
  const json = readJsonObject(body)
  if (json.kind !== 'object') throw new AnswerError('not_json', json.description)
  if (json.members['MessageType'] !== messageType) {
    throw new AnswerError('unexpected_message', `The MessageType is not ${messageType}.`)
  }
  return json.members
}

function readBase(members: Members): AnswerBase {
  const protocolVersion = members['ProtocolVersion']
  if (!isProtocolVersion(protocolVersion)) throw malformed('ProtocolVersion must be "1.0" or "1.1".')
  const transactionId = readUnsigned(members['TransactionID'], 0xffffffff)
  if (transactionId === undefined) throw malformed('TransactionID must be an unsigned 32-bit number.')
  return { protocolVersion, transactionId }
}

/** @throws AnswerError unknown_result_code or malformed */
export function readResult(value: unknown): { resultCode: 'Success' } | Omit<FailureAns, keyof AnswerBase> {
  // A missing Result is no Success, although ChirpStack takes it for one.
  if (!isJsonObject(value) || typeof value['ResultCode'] !== 'string') throw malformed('Result has no ResultCode.')
  const resultCode = parseResultCode(value['ResultCode'])
  if (resultCode === undefined) throw new AnswerError('unknown_result_code', 'The ResultCode is unknown.')
  if (resultCode === 'Success') return { resultCode }
  const description = value['Description']
  return typeof description === 'string' && description !== '' ? { resultCode, description } : { resultCode }
}

function readJoinAccept(value: unknown): Uint8Array {
  const digits = readHexOf(value, 17) ?? readHexOf(value, 33)
  if (digits === undefined) throw malformed('PHYPayload must be a join-accept of 17 or 33 bytes.')
  return hexToBytes(digits)
}

/** Absent in version 1.0, and where it is not known. */
function readHNsId(value: unknown): NsId | undefined {
  if (isAbsent(value)) return undefined
  const digits = readHexOf(value, 8)
  if (digits === undefined) throw malformed('HNSID must be hex of 8 bytes.')
  return parseNsId(digits)
}

function readNetworkKeys(members: Members): NetworkSessionKeys {
  const { NwkSKey, FNwkSIntKey, SNwkSIntKey, NwkSEncKey } = members
  const absent11 = isAbsent(FNwkSIntKey) && isAbsent(SNwkSIntKey) && isAbsent(NwkSEncKey)
  if (absent11) return { nwkSKey: readKeyEnvelope('NwkSKey', NwkSKey) }
  if (!isAbsent(NwkSKey)) throw malformed('The network session keys of LoRaWAN 1.0 and 1.1 came together.')
  return {
    fNwkSIntKey: readKeyEnvelope('FNwkSIntKey', FNwkSIntKey),
    sNwkSIntKey: readKeyEnvelope('SNwkSIntKey', SNwkSIntKey),
    nwkSEncKey: readKeyEnvelope('NwkSEncKey', NwkSEncKey),
  }
}

function readKeyEnvelope(name: string, value: unknown): KeyEnvelope {
  if (!isJsonObject(value)) throw malformed(`${name} is missing or is not a key envelope.`)
  const kekLabel = value['KEKLabel']
  if (isAbsent(kekLabel)) {
    const clear = readHexOf(value['AESKey'], CLEAR_KEY_SIZE)
    if (clear === undefined) throw malformed(`${name} has no KEKLabel and is not a key of 16 bytes.`)
    return { aesKey: hexToBytes(clear) }
  }
  const wrapped = readHexOf(value['AESKey'], WRAPPED_KEY_SIZE)
  if (typeof kekLabel !== 'string' || wrapped === undefined) {
    throw malformed(`${name} has a KEKLabel and is not a wrapped key of 24 bytes.`)
  }
  return { kekLabel, aesKey: hexToBytes(wrapped) }
}

function readSessionKeyId(value: unknown): Uint8Array {
  const digits = readHex(value)
  if (!digits || digits.length % 2 !== 0 || digits.length > 2 * MAX_SESSION_KEY_ID_BYTES) {
    throw malformed(`SessionKeyID must be hex of 1 to ${MAX_SESSION_KEY_ID_BYTES} bytes.`)
  }
  return hexToBytes(digits)
}

/** Absent means unlimited, as 0 does; several join servers leave it out. */
function readLifetime(value: unknown): number {
  if (isAbsent(value)) return 0
  const lifetime = readUnsigned(value, MAX_LIFETIME)
  if (lifetime === undefined) throw malformed('Lifetime must be an unsigned 32-bit number of seconds.')
  return lifetime
}

function malformed(message: string): AnswerError {
  return new AnswerError('malformed', message)
}
