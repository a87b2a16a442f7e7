import { createDecipheriv } from 'node:crypto'
import type { DeviceIdentity, RootKeys } from '../src/index.ts'
import { bigEndian, highBytes, loraPacket } from './lora-packet.ts'

/*
 * The join server and the other end of the session, by lora-packet and OpenSSL alone: nothing in here uses the
 * LoRaWAN code under test.
 */

export interface OracleSession {
  readonly optNeg: boolean
  readonly devAddr: string
  readonly appSKey: Buffer
  /** In a 1.0 session all three are NwkSKey. */
  readonly fNwkSIntKey: Buffer
  readonly sNwkSIntKey: Buffer
  readonly nwkSEncKey: Buffer
}

export interface OracleAccept {
  /** FF for a join, which is answered unless told otherwise; 0, 1, 2 for a rejoin, which has RJcount for DevNonce. */
  readonly joinReqType?: number
  readonly devNonce: number
  readonly joinNonce: number
  readonly netId?: string
  readonly devAddr?: string
  /** OptNeg is its highest bit. */
  readonly dlSettings?: number
  readonly rxDelay?: number
  readonly cfList?: string
}

/** The join-accept of a join server that has these root keys, and the session that it begins. */
export function oracleJoin(
  identity: DeviceIdentity,
  rootKeys: RootKeys,
  accept: OracleAccept,
): { phyPayload: Buffer; session: OracleSession } {
  const { devNonce, joinNonce, netId = '000013', devAddr = '26012e43' } = accept
  const { dlSettings = 0, rxDelay = 1, cfList = '', joinReqType = 0xff } = accept
  const appKey = Buffer.from(rootKeys.appKey)
  const joinKey = Buffer.from(rootKeys.nwkKey ?? rootKeys.appKey)
  const optNeg = identity.macVersion === '1.1.0' && (dlSettings & 0x80) !== 0
  const joinEui = Buffer.from(identity.joinEui, 'hex')
  const clear = Buffer.concat([
    Buffer.of(0x20),
    bigEndian(3, joinNonce).reverse(),
    Buffer.from(netId, 'hex').reverse(),
    Buffer.from(devAddr, 'hex').reverse(),
    Buffer.of(dlSettings, rxDelay),
    Buffer.from(cfList, 'hex'),
  ])
  const packet = loraPacket.fromWire(Buffer.concat([clear, Buffer.alloc(4)]))
  packet.JoinReqType = Buffer.of(joinReqType)
  packet.JoinEUI = joinEui
  packet.DevNonce = bigEndian(2, devNonce)
  const { JSIntKey, JSEncKey } = loraPacket.generateJSKeys(joinKey, Buffer.from(identity.devEui, 'hex'))
  const mic = optNeg ? loraPacket.calculateMIC(packet, JSIntKey) : loraPacket.calculateMIC(packet, undefined, joinKey)
  const nonces = [bigEndian(3, joinNonce), bigEndian(2, devNonce)] as const
  const phyPayload = sealed(joinReqType === 0xff ? joinKey : JSEncKey, clear, mic)
  if (optNeg) {
    const keys = loraPacket.generateSessionKeys11(appKey, joinKey, joinEui, ...nonces)
    return {
      phyPayload,
      session: {
        optNeg,
        devAddr,
        appSKey: keys.AppSKey,
        fNwkSIntKey: keys.FNwkSIntKey,
        sNwkSIntKey: keys.SNwkSIntKey,
        nwkSEncKey: keys.NwkSEncKey,
      },
    }
  }
  const { AppSKey, NwkSKey } = loraPacket.generateSessionKeys10(joinKey, Buffer.from(netId, 'hex'), ...nonces)
  const networkKeys = { fNwkSIntKey: NwkSKey, sNwkSIntKey: NwkSKey, nwkSEncKey: NwkSKey }
  return { phyPayload, session: { optNeg, devAddr, appSKey: AppSKey, ...networkKeys } }
}

/** MHDR, then the rest with its MIC, decrypted by AES-ECB (LoRaWAN 1.0.3 §6.2.5). */
export function sealed(joinKey: Buffer, clear: Buffer, mic: Buffer): Buffer {
  const cipher = createDecipheriv('aes-128-ecb', joinKey, null).setAutoPadding(false)
  return Buffer.concat([clear.subarray(0, 1), cipher.update(Buffer.concat([clear.subarray(1), mic]))])
}

export interface OracleUplink {
  readonly fCnt?: number
  readonly confFCnt?: number
  readonly txDr?: number
  readonly txCh?: number
}

/** What the other end reads in a frame of the device, or undefined when its MIC is wrong. */
export function oracleReadsUplink(session: OracleSession, phyPayload: Uint8Array, context: OracleUplink = {}) {
  const packet = loraPacket.fromWire(Buffer.from(phyPayload))
  const { fCnt = packet.getFCnt() ?? 0, confFCnt = 0, txDr = 0, txCh = 0 } = context
  const high = highBytes(fCnt)
  const mic = session.optNeg
    ? loraPacket.calculateMIC(
        packet,
        session.fNwkSIntKey,
        session.sNwkSIntKey,
        high,
        Buffer.concat([bigEndian(2, confFCnt % 0x10000), Buffer.of(txDr, txCh)]),
      )
    : loraPacket.calculateMIC(packet, session.fNwkSIntKey, undefined, high)
  if (!mic.equals(Buffer.from(phyPayload).subarray(-4))) return undefined
  const fOpts = packet.FOpts ?? Buffer.alloc(0)
  return {
    devAddr: packet.DevAddr?.toString('hex'),
    fCnt: packet.getFCnt(),
    fPort: packet.getFPort(),
    ack: packet.getFCtrlACK(),
    confirmed: packet.isConfirmed(),
    payload: loraPacket.decrypt(packet, session.appSKey, session.nwkSEncKey, high).toString(),
    fOpts: (session.optNeg ? packet.decryptFOpts(session.nwkSEncKey, undefined, high) : fOpts).toString('hex'),
  }
}

export interface OracleDownlink {
  /** 32 bits. */
  readonly fCnt: number
  readonly fPort?: number
  readonly payload?: string
  readonly confirmed?: boolean
  readonly ack?: boolean
  readonly confFCnt?: number
  /** In clear, as hexadecimal text. */
  readonly fOpts?: string
}

/** A frame of the other end. */
export function oracleDownlink(session: OracleSession, downlink: OracleDownlink): Buffer {
  const { fCnt, fPort, payload, confirmed = false, ack = false, confFCnt = 0, fOpts = '' } = downlink
  const fields = {
    MType: confirmed ? 'Confirmed Data Down' : 'Unconfirmed Data Down',
    DevAddr: Buffer.from(session.devAddr, 'hex'),
    FCtrl: { ACK: ack },
    FCnt: fCnt % 0x10000,
    FOpts: Buffer.from(fOpts, 'hex'),
    ...(fPort !== undefined && { FPort: fPort }),
    ...(payload !== undefined && { payload }),
  }
  const high = highBytes(fCnt)
  const packet = loraPacket.fromFields(fields, session.appSKey, session.nwkSEncKey, undefined, high)
  let bytes = Buffer.from(packet.PHYPayload ?? Buffer.alloc(0))
  if (session.optNeg && fOpts !== '') {
    const encrypted = loraPacket.fromWire(bytes).decryptFOpts(session.nwkSEncKey, undefined, high)
    bytes = Buffer.concat([bytes.subarray(0, 8), encrypted, bytes.subarray(8 + encrypted.length)])
  }
  const framed = loraPacket.fromWire(bytes)
  // In a downlink lora-packet wants the counter in the order on air.
  const acked = bigEndian(2, confFCnt % 0x10000).reverse()
  const mic = session.optNeg
    ? loraPacket.calculateMIC(framed, undefined, session.sNwkSIntKey, high, acked)
    : loraPacket.calculateMIC(framed, session.sNwkSIntKey, undefined, high)
  return Buffer.concat([bytes.subarray(0, -4), mic])
}
