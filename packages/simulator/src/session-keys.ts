import {
  type BlockCipher,
  computeMic,
  type DevEui,
  decodeJoinAcceptPayload,
  decryptJoinAccept,
  equalMic,
  FrameError,
  hasOptNeg,
  is11,
  JOIN_REQ_TYPE_JOIN,
  type JoinAccept,
  type JoinEui,
  joinAcceptMicMessage10,
  joinAcceptMicMessage11,
  type JsKeyType,
  jsKeyBlock,
  KEY_TYPE,
  type MacVersion,
  type RejoinType,
  sessionKeyBlock10,
  sessionKeyBlock11,
} from '@mortise/lorawan'
import { createBlockCipher } from '@mortise/lorawan/node-aes'
import { SecureElementError } from './secure-element-error.ts'

/** The root keys of one device as ciphers: they can be used, and not read. */
export interface RootCiphers {
  /** Signs join-requests and opens join-accepts: NwkKey in 1.1, AppKey before. */
  readonly join: BlockCipher
  readonly appKey: BlockCipher
}

/** The session keys as ciphers. In a 1.0 session NwkSKey stands in all three places of the network. */
export interface SessionCiphers {
  readonly appSKey: BlockCipher
  readonly fNwkSIntKey: BlockCipher
  readonly sNwkSIntKey: BlockCipher
  readonly nwkSEncKey: BlockCipher
}

/** A join-request or rejoin-request that has no answer yet. */
export interface JoinUnderWay {
  readonly devEui: DevEui
  readonly joinEui: JoinEui
  readonly macVersion: MacVersion
  readonly joinReqType: typeof JOIN_REQ_TYPE_JOIN | RejoinType
  /** Of a rejoin RJcount. */
  readonly devNonce: number
}

/** JSEncKey or JSIntKey of a device of LoRaWAN 1.1. */
export function jsCipher(root: RootCiphers, type: JsKeyType, devEui: DevEui): BlockCipher {
  return derived(root.join, jsKeyBlock(type, devEui))
}

/**
 * Opens a join-accept and compares its MIC: of the form that its own OptNeg asks for, or, after a rejoin, of 1.1, which
 * alone rejoins (LoRaWAN 1.1 §6.2.4).
 * @throws {SecureElementError} `join_accept_malformed`, `mic_mismatch`
 */
export function openJoinAccept(
  root: RootCiphers,
  join: JoinUnderWay,
  phyPayload: Uint8Array,
): JoinAccept & { optNeg: boolean } {
  const isRejoin = join.joinReqType !== JOIN_REQ_TYPE_JOIN
  const cipher = isRejoin ? jsCipher(root, KEY_TYPE.jsEncKey, join.devEui) : root.join
  const { payload, mic, accept } = decrypted(cipher, phyPayload)
  const optNeg = is11(join.macVersion) && hasOptNeg(accept.dlSettings)
  const expected =
    optNeg || isRejoin
      ? computeMic(
          jsCipher(root, KEY_TYPE.jsIntKey, join.devEui),
          joinAcceptMicMessage11(join.joinReqType, join.joinEui, join.devNonce, payload),
        )
      : computeMic(root.join, joinAcceptMicMessage10(payload))
  if (!equalMic(expected, mic)) throw new SecureElementError('mic_mismatch', 'The MIC of the join-accept is wrong.')
  if (isRejoin && !optNeg) {
    throw new SecureElementError('join_accept_malformed', 'The answer to a rejoin-request has no OptNeg.')
  }
  return { ...accept, optNeg }
}

/** Derives the session keys (LoRaWAN 1.0.3 §6.2.5, 1.1 §6.2.6). */
export function deriveSession(
  root: RootCiphers,
  join: JoinUnderWay,
  accept: JoinAccept & { optNeg: boolean },
): SessionCiphers {
  const { joinNonce, netId } = accept
  const { joinEui, devNonce } = join
  if (!accept.optNeg) {
    // LoRaWAN 1.1 §6.2.6: with OptNeg unset AppSKey too comes from NwkKey.
    const derive = (type: 1 | 2) => derived(root.join, sessionKeyBlock10(type, joinNonce, netId, devNonce))
    const nwkSKey = derive(KEY_TYPE.fNwkSIntKey)
    return { appSKey: derive(KEY_TYPE.appSKey), fNwkSIntKey: nwkSKey, sNwkSIntKey: nwkSKey, nwkSEncKey: nwkSKey }
  }
  const derive = (key: BlockCipher, type: 1 | 2 | 3 | 4) =>
    derived(key, sessionKeyBlock11(type, joinNonce, joinEui, devNonce))
  return {
    appSKey: derive(root.appKey, KEY_TYPE.appSKey),
    fNwkSIntKey: derive(root.join, KEY_TYPE.fNwkSIntKey),
    sNwkSIntKey: derive(root.join, KEY_TYPE.sNwkSIntKey),
    nwkSEncKey: derive(root.join, KEY_TYPE.nwkSEncKey),
  }
}

function decrypted(
  cipher: BlockCipher,
  phyPayload: Uint8Array,
): { payload: Uint8Array; mic: Uint8Array; accept: JoinAccept } {
  try {
    const { payload, mic } = decryptJoinAccept(cipher, phyPayload)
    return { payload, mic, accept: decodeJoinAcceptPayload(payload) }
  } catch (cause) {
    if (!(cause instanceof FrameError)) throw cause
    throw new SecureElementError('join_accept_malformed', 'This is no join-accept.', { cause })
  }
}

function derived(key: BlockCipher, block: Uint8Array): BlockCipher {
  const bytes = key.encryptBlock(block)
  const cipher = createBlockCipher(bytes)
  bytes.fill(0)
  return cipher
}
