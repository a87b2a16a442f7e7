import {
  type BlockCipher,
  bytesToHex,
  computeMic,
  type DevAddr,
  decodeJoinAcceptPayload,
  decryptJoinAccept,
  encodeJoinRequest,
  encodeJoinRequestWithoutMic,
  equalMic,
  hasOptNeg,
  hexToBytes,
  is11,
  JOIN_REQ_TYPE_JOIN,
  type JoinAccept,
  joinAcceptMicMessage10,
  joinAcceptMicMessage11,
  jsKeyBlock,
  KEY_TYPE,
  sessionKeyBlock10,
  sessionKeyBlock11,
} from '@mortise/lorawan'
import { createBlockCipher, unwrapKey } from '@mortise/lorawan/node-aes'
import type { AcceptParameters } from './accept-parameters.ts'
import { type LoadFleet, loadDevEui } from './load-fleet.ts'

/** A join under way. */
export interface LoadJoin {
  readonly index: number
  readonly devNonce: number
  readonly devAddr: DevAddr
}

/** Key envelopes of a JoinAns as they are on the wire, by member name; `undefined` where it has no such member. */
export interface AnsweredKeys {
  readonly phyPayload: string
  readonly networkKeys: Readonly<Record<string, string | undefined>>
  readonly appSKey: string
}

/** An answer that a real device, its network or its owner could not work with. */
export class WrongAnswerError extends Error {
  override readonly name = 'WrongAnswerError'
}

/**
 * Devices that join and do nothing else, made for a load: two numbers each, and ciphers that they share. What they
 * compute is what `Device` with its secure element computes, which the tests compare.
 */
export class LoadDevices {
  readonly fleet: LoadFleet
  readonly #accept: AcceptParameters
  readonly #kek: Uint8Array
  readonly #appCiphers: readonly BlockCipher[]
  readonly #nwkCiphers: readonly BlockCipher[]
  readonly #nextDevNonce: Uint16Array
  readonly #lastJoinNonce: Uint32Array

  /** `kek` is that of the devices' application server: 16, 24 or 32 bytes. */
  constructor(fleet: LoadFleet, accept: AcceptParameters, kek: Uint8Array, firstDevNonce = 0) {
    this.fleet = fleet
    this.#accept = accept
    this.#kek = kek
    this.#appCiphers = fleet.appKeys.map((key) => createBlockCipher(key))
    this.#nwkCiphers = fleet.nwkKeys.map((key) => createBlockCipher(key))
    this.#nextDevNonce = new Uint16Array(fleet.size).fill(firstDevNonce)
    this.#lastJoinNonce = new Uint32Array(fleet.size)
  }

  /** A join-request of 23 bytes under a new DevNonce. */
  joinRequest(index: number): { devNonce: number; phyPayload: Uint8Array } {
    const devNonce = this.#nextDevNonce[index] ?? 0
    this.#nextDevNonce[index] = devNonce + 1
    const fields = { joinEui: this.fleet.joinEui, devEui: loadDevEui(this.fleet, index), devNonce }
    const mic = computeMic(this.#rootCipher(index), encodeJoinRequestWithoutMic(fields))
    return { devNonce, phyPayload: encodeJoinRequest(fields, mic) }
  }

  /**
   * What the device, its network and its owner's application server make of an answer.
   * @throws {WrongAnswerError} it is not the one that this device, this network and this owner need
   */
  checkAnswer(join: LoadJoin, { phyPayload, networkKeys, appSKey }: AnsweredKeys): void {
    const { accept, optNeg } = this.#openAccept(join, hexToBytes(phyPayload))
    this.#checkParameters(join, accept)
    const expected = this.#deriveSession(join, accept.joinNonce, optNeg)
    for (const [name, key] of Object.entries(expected.network))
      if (networkKeys[name] !== bytesToHex(key)) throw new WrongAnswerError(`${name} is not the device's`)
    if (Object.values(networkKeys).filter((key) => key !== undefined).length !== Object.keys(expected.network).length)
      throw new WrongAnswerError('there is a network session key too many')
    if (bytesToHex(this.#unwrap(appSKey)) !== bytesToHex(expected.appSKey))
      throw new WrongAnswerError("AppSKey is not the device's")
    this.#lastJoinNonce[join.index] = accept.joinNonce
  }

  #rootCipher(index: number): BlockCipher {
    return cipherOf(is11(this.fleet.macVersion) ? this.#nwkCiphers : this.#appCiphers, index)
  }

  #openAccept(join: LoadJoin, phyPayload: Uint8Array): { accept: JoinAccept; optNeg: boolean } {
    const root = this.#rootCipher(join.index)
    const { payload, mic } = decryptJoinAccept(root, phyPayload)
    const accept = decodeJoinAcceptPayload(payload)
    const optNeg = is11(this.fleet.macVersion) && hasOptNeg(accept.dlSettings)
    const expected = optNeg ? this.#mic11(join, payload) : computeMic(root, joinAcceptMicMessage10(payload))
    if (!equalMic(expected, mic)) throw new WrongAnswerError('the MIC of the join-accept is wrong')
    return { accept, optNeg }
  }

  #mic11({ index, devNonce }: LoadJoin, payload: Uint8Array): Uint8Array {
    const block = jsKeyBlock(KEY_TYPE.jsIntKey, loadDevEui(this.fleet, index))
    const jsIntKey = createBlockCipher(this.#rootCipher(index).encryptBlock(block))
    return computeMic(jsIntKey, joinAcceptMicMessage11(JOIN_REQ_TYPE_JOIN, this.fleet.joinEui, devNonce, payload))
  }

  #checkParameters({ index, devAddr }: LoadJoin, accept: JoinAccept): void {
    const { netId, dlSettings, rxDelay, cfList } = this.#accept
    const kept = accept.netId === netId && accept.dlSettings === dlSettings && accept.rxDelay === rxDelay
    if (!kept || accept.devAddr !== devAddr || !equalBytes(accept.cfList, cfList))
      throw new WrongAnswerError('the join-accept does not carry what the network asked for')
    if (accept.joinNonce <= (this.#lastJoinNonce[index] ?? 0)) throw new WrongAnswerError('JoinNonce does not rise')
  }

  #deriveSession(
    { index, devNonce }: LoadJoin,
    joinNonce: number,
    optNeg: boolean,
  ): { network: Record<string, Uint8Array>; appSKey: Uint8Array } {
    const root = this.#rootCipher(index)
    if (!optNeg) {
      const { netId } = this.#accept
      const derive = (type: 1 | 2) => root.encryptBlock(sessionKeyBlock10(type, joinNonce, netId, devNonce))
      return { network: { NwkSKey: derive(KEY_TYPE.fNwkSIntKey) }, appSKey: derive(KEY_TYPE.appSKey) }
    }
    const derive = (cipher: BlockCipher, type: 1 | 2 | 3 | 4) =>
      cipher.encryptBlock(sessionKeyBlock11(type, joinNonce, this.fleet.joinEui, devNonce))
    return {
      network: {
        FNwkSIntKey: derive(root, KEY_TYPE.fNwkSIntKey),
        SNwkSIntKey: derive(root, KEY_TYPE.sNwkSIntKey),
        NwkSEncKey: derive(root, KEY_TYPE.nwkSEncKey),
      },
      appSKey: derive(cipherOf(this.#appCiphers, index), KEY_TYPE.appSKey),
    }
  }

  #unwrap(appSKey: string): Uint8Array {
    try {
      return unwrapKey(this.#kek, hexToBytes(appSKey))
    } catch (cause) {
      throw new WrongAnswerError("AppSKey does not open under the application server's KEK", { cause })
    }
  }
}

function cipherOf(pool: readonly BlockCipher[], index: number): BlockCipher {
  const cipher = pool[index % pool.length]
  if (cipher === undefined) throw new RangeError('the fleet has no root keys of this kind')
  return cipher
}

function equalBytes(left: Uint8Array | undefined, right: Uint8Array | undefined): boolean {
  if (left === undefined || right === undefined) return left === right
  return Buffer.compare(left, right) === 0
}
