import { randomBytes } from 'node:crypto'
import {
  computeMic,
  cryptFOpts11,
  cryptFrmPayload,
  type DevAddr,
  type DevEui,
  dataMic10,
  dataMic11Down,
  dataMic11Up,
  devNonceRule,
  encodeJoinRequest,
  encodeJoinRequestWithoutMic,
  encodeRejoinRequest,
  encodeRejoinRequestWithoutMic,
  equalMic,
  is11,
  JOIN_REQ_TYPE_JOIN,
  KEY_TYPE,
  rejoinCount,
} from '@mortise/lorawan'
import { createBlockCipher } from '@mortise/lorawan/node-aes'
import type {
  DeviceIdentity,
  DownlinkToVerify,
  FOptsToCrypt,
  FrmPayloadToCrypt,
  JoinResult,
  RejoinToSign,
  RootKeys,
  SecureElement,
  UplinkToSign,
} from './secure-element.ts'
import { SecureElementError } from './secure-element-error.ts'
import {
  deriveSession,
  type JoinUnderWay,
  jsCipher,
  openJoinAccept,
  type RootCiphers,
  type SessionCiphers,
} from './session-keys.ts'

const ROOT_KEY_SIZE = 16

interface Session extends SessionCiphers {
  readonly devAddr: DevAddr
  readonly optNeg: boolean
}

/** What the secure element keeps of one device. */
interface Slot {
  readonly identity: DeviceIdentity
  readonly root: RootCiphers
  /** Only until they are taken. */
  untakenRootKeys?: RootKeys | undefined
  lastJoinNonce?: number
  pending?: Pick<JoinUnderWay, 'joinReqType' | 'devNonce'> | undefined
  session?: Session
}

/** The secure element in the caller's own process: what the child process runs, and for tests and load. */
export class SoftSecureElement implements SecureElement {
  readonly #slots = new Map<DevEui, Slot>()

  createDevice(identity: DeviceIdentity): Promise<void> {
    return answered(() => {
      const rootKeys = makeRootKeys(identity)
      this.#addSlot(identity, rootKeys).untakenRootKeys = rootKeys
    })
  }

  /**
   * Puts in keys that are known outside, such as those of a published vector. They cannot be taken out again, and only
   * this secure element has the method: the keys would cross the boundary of the other.
   * @throws {SecureElementError} `device_exists`, `root_keys_malformed`
   */
  loadDevice(identity: DeviceIdentity, rootKeys: RootKeys): void {
    this.#addSlot(identity, rootKeys)
  }

  takeRootKeysForProvisioning(devEui: DevEui): Promise<RootKeys> {
    return answered(() => {
      const slot = this.#find(devEui)
      const rootKeys = slot.untakenRootKeys
      if (rootKeys === undefined) throw new SecureElementError('root_keys_taken', 'Root keys are given out once.')
      slot.untakenRootKeys = undefined
      return rootKeys
    })
  }

  signJoinRequest(devEui: DevEui, devNonce: number): Promise<Uint8Array> {
    return answered(() => {
      const slot = this.#find(devEui)
      const fields = { joinEui: slot.identity.joinEui, devEui, devNonce }
      const mic = computeMic(slot.root.join, encodeJoinRequestWithoutMic(fields))
      slot.pending = { joinReqType: JOIN_REQ_TYPE_JOIN, devNonce }
      return encodeJoinRequest(fields, mic)
    })
  }

  signRejoinRequest(devEui: DevEui, rejoin: RejoinToSign): Promise<Uint8Array> {
    return answered(() => {
      const slot = this.#find(devEui)
      const { optNeg, sNwkSIntKey } = this.#session(devEui)
      if (!optNeg) throw new SecureElementError('not_in_this_session', 'There is no rejoin before LoRaWAN 1.1.')
      const fields =
        rejoin.rejoinType === 1 ? { ...rejoin, devEui, joinEui: slot.identity.joinEui } : { ...rejoin, devEui }
      const cipher = rejoin.rejoinType === 1 ? jsCipher(slot.root, KEY_TYPE.jsIntKey, devEui) : sNwkSIntKey
      const mic = computeMic(cipher, encodeRejoinRequestWithoutMic(fields))
      slot.pending = { joinReqType: rejoin.rejoinType, devNonce: rejoinCount(fields) }
      return encodeRejoinRequest(fields, mic)
    })
  }

  processJoinAccept(devEui: DevEui, phyPayload: Uint8Array): Promise<JoinResult> {
    return answered(() => {
      const slot = this.#find(devEui)
      if (slot.pending === undefined) {
        throw new SecureElementError('no_join_pending', 'There is no join-request that this could answer.')
      }
      const join = { ...slot.identity, ...slot.pending }
      const accept = openJoinAccept(slot.root, join, phyPayload)
      requireFreshJoinNonce(slot, accept.joinNonce)
      slot.session = {
        ...deriveSession(slot.root, join, accept),
        devAddr: accept.devAddr,
        optNeg: accept.optNeg,
      }
      slot.lastJoinNonce = accept.joinNonce
      slot.pending = undefined
      return accept
    })
  }

  signUplink(devEui: DevEui, uplink: UplinkToSign): Promise<Uint8Array> {
    return answered(() => {
      const session = this.#session(devEui)
      const { devAddr, fNwkSIntKey, sNwkSIntKey } = session
      return session.optNeg
        ? dataMic11Up(fNwkSIntKey, sNwkSIntKey, { ...uplink, devAddr }, uplink.message)
        : dataMic10(fNwkSIntKey, 'up', devAddr, uplink.fCnt, uplink.message)
    })
  }

  verifyDownlink(devEui: DevEui, downlink: DownlinkToVerify): Promise<boolean> {
    return answered(() => {
      const { devAddr, optNeg, sNwkSIntKey } = this.#session(devEui)
      const expected = optNeg
        ? dataMic11Down(sNwkSIntKey, { ...downlink, devAddr }, downlink.message)
        : dataMic10(sNwkSIntKey, 'down', devAddr, downlink.fCnt, downlink.message)
      return equalMic(expected, downlink.mic)
    })
  }

  cryptFrmPayload(devEui: DevEui, frame: FrmPayloadToCrypt): Promise<Uint8Array> {
    return answered(() => {
      const { devAddr, appSKey, nwkSEncKey } = this.#session(devEui)
      const key = frame.fPort === 0 ? nwkSEncKey : appSKey
      return cryptFrmPayload(key, frame.direction, devAddr, frame.fCnt, frame.payload)
    })
  }

  cryptFOpts(devEui: DevEui, frame: FOptsToCrypt): Promise<Uint8Array> {
    return answered(() => {
      const { devAddr, optNeg, nwkSEncKey } = this.#session(devEui)
      if (!optNeg) throw new SecureElementError('not_in_this_session', 'FOpts are in clear before LoRaWAN 1.1.')
      return cryptFOpts11(nwkSEncKey, frame.direction, frame.counter, devAddr, frame.fCnt, frame.fOpts)
    })
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#slots.clear()
    return Promise.resolve()
  }

  #addSlot(identity: DeviceIdentity, rootKeys: RootKeys): Slot {
    if (this.#slots.has(identity.devEui)) throw new SecureElementError('device_exists', 'This DevEUI is in use.')
    const slot: Slot = { identity, root: rootCiphers(identity, rootKeys) }
    this.#slots.set(identity.devEui, slot)
    return slot
  }

  #find(devEui: DevEui): Slot {
    const slot = this.#slots.get(devEui)
    if (slot === undefined) throw new SecureElementError('device_unknown', 'This DevEUI is not in the secure element.')
    return slot
  }

  #session(devEui: DevEui): Session {
    const { session } = this.#find(devEui)
    if (session === undefined) throw new SecureElementError('no_session', 'The device has not joined.')
    return session
  }
}

/** A promise of what `operation` returns or throws: in here nothing waits, behind a process everything does. */
function answered<Result>(operation: () => Result): Promise<Result> {
  return new Promise((resolve) => {
    resolve(operation())
  })
}

function makeRootKeys({ macVersion }: DeviceIdentity): RootKeys {
  const appKey = new Uint8Array(randomBytes(ROOT_KEY_SIZE))
  return is11(macVersion) ? { appKey, nwkKey: new Uint8Array(randomBytes(ROOT_KEY_SIZE)) } : { appKey }
}

function rootCiphers({ macVersion }: DeviceIdentity, { appKey, nwkKey }: RootKeys): RootCiphers {
  const rightSizes = appKey.length === ROOT_KEY_SIZE && (nwkKey?.length ?? ROOT_KEY_SIZE) === ROOT_KEY_SIZE
  if (!rightSizes || (nwkKey !== undefined) !== is11(macVersion)) {
    throw new SecureElementError('root_keys_malformed', 'Root keys have 16 bytes; LoRaWAN 1.1 has two, 1.0 one.')
  }
  const appKeyCipher = createBlockCipher(appKey)
  return { appKey: appKeyCipher, join: nwkKey === undefined ? appKeyCipher : createBlockCipher(nwkKey) }
}

/** LoRaWAN 1.0.4 and 1.1 count JoinNonces; before that they are random, and the device cannot tell an old one. */
function requireFreshJoinNonce({ identity, lastJoinNonce }: Slot, joinNonce: number): void {
  if (devNonceRule(identity.macVersion) === 'random' || lastJoinNonce === undefined) return
  if (joinNonce <= lastJoinNonce) {
    throw new SecureElementError('join_nonce_stale', `JoinNonce ${joinNonce} is not above ${lastJoinNonce}.`)
  }
}
