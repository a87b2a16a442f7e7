import { AES_BLOCK_SIZE, type BlockCipher } from './aes.ts'
import { FrameError } from './errors.ts'
import {
  type DevAddr,
  devAddrFromWire,
  devAddrToWire,
  eui64ToWire,
  type JoinEui,
  type NetId,
  netIdFromWire,
  netIdToWire,
} from './identifiers.ts'
import { MIC_SIZE } from './mic.ts'
import { readUint, writeBytes, writeUint } from './wire.ts'

/** A join-accept before encryption and without its MIC (LoRaWAN 1.0.3 §6.2.5, 1.1 §6.2.6). */
export interface JoinAccept {
  /** 24 bits; AppNonce before 1.0.4. */
  readonly joinNonce: number
  readonly netId: NetId
  readonly devAddr: DevAddr
  /** The whole byte: OptNeg, RX1DRoffset, RX2DataRate. */
  readonly dlSettings: number
  /** 0 to 15, in seconds; 0 means 1. */
  readonly rxDelay: number
  /** 16 bytes, in the order on air. */
  readonly cfList?: Uint8Array
}

/** MType 001, RFU 000, Major 00. */
export const JOIN_ACCEPT_MHDR = 0x20

/** The first byte of the 1.1 MIC for the answer to a join-request; the answer to a rejoin has the rejoin type 0, 1 or 2. */
export const JOIN_REQ_TYPE_JOIN = 0xff

/** The bit of DLSettings by which a network says that it speaks 1.1; RFU for a 1.0 device. */
export const OPT_NEG = 0x80

export function hasOptNeg(dlSettings: number): boolean {
  return (dlSettings & OPT_NEG) !== 0
}

const CF_LIST_SIZE = 16
const SIZE_WITHOUT_CF_LIST = 13
const SIZE_WITH_CF_LIST = SIZE_WITHOUT_CF_LIST + CF_LIST_SIZE
const MAX_RX_DELAY = 15

/**
 * MHDR || JoinNonce || NetID || DevAddr || DLSettings || RxDelay || CFList?, 13 or 29 bytes, no MIC.
 * @throws {FrameError} `frame_field`: a number that its field cannot hold, or a CFList not of 16 bytes.
 */
export function encodeJoinAcceptPayload(accept: JoinAccept): Uint8Array {
  if (accept.rxDelay > MAX_RX_DELAY) throw new FrameError('frame_field', `RxDelay ${accept.rxDelay} is above 15`)
  const payload = new Uint8Array(accept.cfList === undefined ? SIZE_WITHOUT_CF_LIST : SIZE_WITH_CF_LIST)
  payload[0] = JOIN_ACCEPT_MHDR
  writeUint(payload, 1, 3, accept.joinNonce)
  payload.set(netIdToWire(accept.netId), 4)
  payload.set(devAddrToWire(accept.devAddr), 7)
  writeUint(payload, 11, 1, accept.dlSettings)
  writeUint(payload, 12, 1, accept.rxDelay)
  if (accept.cfList !== undefined) writeBytes(payload, SIZE_WITHOUT_CF_LIST, CF_LIST_SIZE, accept.cfList)
  return payload
}

/**
 * Takes a decrypted join-accept apart: with MHDR, without MIC. The RFU bits of RxDelay are ignored, as a device does.
 * @throws {FrameError} `frame_size`: neither 13 nor 29 bytes. `frame_type`: MHDR is not 20.
 */
export function decodeJoinAcceptPayload(payload: Uint8Array): JoinAccept {
  if (payload.length !== SIZE_WITHOUT_CF_LIST && payload.length !== SIZE_WITH_CF_LIST) {
    throw new FrameError('frame_size', `a join-accept without MIC has 13 or 29 bytes, not ${payload.length}`)
  }
  requireJoinAcceptMhdr(payload)
  const accept = {
    joinNonce: readUint(payload, 1, 3),
    netId: netIdFromWire(payload.subarray(4, 7)),
    devAddr: devAddrFromWire(payload.subarray(7, 11)),
    dlSettings: readUint(payload, 11, 1),
    rxDelay: readUint(payload, 12, 1) & MAX_RX_DELAY,
  }
  if (payload.length === SIZE_WITHOUT_CF_LIST) return accept
  return { ...accept, cfList: new Uint8Array(payload.subarray(SIZE_WITHOUT_CF_LIST)) }
}

/** What the MIC is computed over with OptNeg 0, under AppKey or, for a 1.1 device, NwkKey: the payload itself. */
export function joinAcceptMicMessage10(payload: Uint8Array): Uint8Array {
  return payload
}

/**
 * What the MIC is computed over with OptNeg 1, under JSIntKey (LoRaWAN 1.1 §6.2.6):
 * JoinReqType || JoinEUI || DevNonce || payload. The answer to a rejoin has RJcount0 or RJcount1 in the place of DevNonce.
 * @throws {FrameError} `frame_field`: JoinReqType above 8 bits or DevNonce above 16.
 */
export function joinAcceptMicMessage11(
  joinReqType: number,
  joinEui: JoinEui,
  devNonce: number,
  payload: Uint8Array,
): Uint8Array {
  const message = new Uint8Array(11 + payload.length)
  writeUint(message, 0, 1, joinReqType)
  message.set(eui64ToWire(joinEui), 1)
  writeUint(message, 9, 2, devNonce)
  message.set(payload, 11)
  return message
}

/**
 * The device's side of a join-accept of 17 or 33 bytes. The network *decrypted* the clear text, so that a device needs
 * AES encryption only (LoRaWAN 1.0.3 §6.2.5): the cipher is that of AppKey or NwkKey, or JSEncKey after a rejoin.
 * Nothing is authentic before the MIC, returned beside the payload with MHDR, has been compared.
 * @throws {FrameError} `frame_size`: neither 17 nor 33 bytes. `frame_type`: MHDR is not 20.
 */
export function decryptJoinAccept(
  cipher: BlockCipher,
  phyPayload: Uint8Array,
): { payload: Uint8Array; mic: Uint8Array } {
  if (phyPayload.length !== 1 + AES_BLOCK_SIZE && phyPayload.length !== 1 + 2 * AES_BLOCK_SIZE) {
    throw new FrameError('frame_size', `a join-accept has 17 or 33 bytes, not ${phyPayload.length}`)
  }
  requireJoinAcceptMhdr(phyPayload)
  const clear = new Uint8Array(phyPayload.length)
  clear[0] = JOIN_ACCEPT_MHDR
  for (let start = 1; start < phyPayload.length; start += AES_BLOCK_SIZE) {
    clear.set(cipher.encryptBlock(phyPayload.subarray(start, start + AES_BLOCK_SIZE)), start)
  }
  return { payload: clear.slice(0, -MIC_SIZE), mic: clear.slice(-MIC_SIZE) }
}

function requireJoinAcceptMhdr(bytes: Uint8Array): void {
  if (bytes[0] !== JOIN_ACCEPT_MHDR) throw new FrameError('frame_type', 'MHDR is not that of a join-accept')
}
