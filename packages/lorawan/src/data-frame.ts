import { FrameError } from './errors.ts'
import { type DevAddr, devAddrFromWire, devAddrToWire } from './identifiers.ts'
import { MIC_SIZE } from './mic.ts'
import { readUint, writeUint } from './wire.ts'

/** A data frame as it is on air: FOpts (in 1.1) and FRMPayload are ciphertext here (LoRaWAN 1.0.3 §4, 1.1 §4). */
export interface DataFrame {
  readonly mType: DataMType
  readonly devAddr: DevAddr
  readonly adr: boolean
  /** Uplink only; RFU in a downlink. */
  readonly adrAckReq: boolean
  readonly ack: boolean
  /** FPending in a downlink, ClassB in an uplink: the same bit. */
  readonly fPending: boolean
  /** The low 16 bits, which is all that is on air. */
  readonly fCnt: number
  /** 0 to 15 bytes. */
  readonly fOpts: Uint8Array
  /** 0 to 255; absent when there is no FRMPayload either. */
  readonly fPort?: number
  readonly frmPayload: Uint8Array
  /** 4 bytes. */
  readonly mic: Uint8Array
}

export type DataMType = 'unconfirmed-up' | 'unconfirmed-down' | 'confirmed-up' | 'confirmed-down'
export type Direction = 'up' | 'down'

const MHDR = {
  'unconfirmed-up': 0x40,
  'unconfirmed-down': 0x60,
  'confirmed-up': 0x80,
  'confirmed-down': 0xa0,
} as const satisfies Record<DataMType, number>

const M_TYPE_OF_MHDR: ReadonlyMap<number | undefined, DataMType> = new Map([
  [MHDR['unconfirmed-up'], 'unconfirmed-up'],
  [MHDR['unconfirmed-down'], 'unconfirmed-down'],
  [MHDR['confirmed-up'], 'confirmed-up'],
  [MHDR['confirmed-down'], 'confirmed-down'],
])

const F_CTRL = { adr: 0x80, adrAckReq: 0x40, ack: 0x20, fPending: 0x10, fOptsLen: 0x0f } as const

/** MHDR || DevAddr || FCtrl || FCnt, in bytes. */
const SIZE_BEFORE_F_OPTS = 8
/** A LoRa modem's length byte allows no more. */
export const MAX_PHY_PAYLOAD_SIZE = 255
export const MAX_F_OPTS_SIZE = 15
/** What remains beside MHDR, FHDR without FOpts, FPort and MIC. */
export const MAX_FRM_PAYLOAD_SIZE = MAX_PHY_PAYLOAD_SIZE - SIZE_BEFORE_F_OPTS - 1 - MIC_SIZE

export function directionOf(mType: DataMType): Direction {
  return mType === 'unconfirmed-up' || mType === 'confirmed-up' ? 'up' : 'down'
}

/**
 * MHDR || FHDR || FPort? || FRMPayload, without MIC.
 * @throws {FrameError} `frame_size`: above 255 bytes with MIC. `frame_field`: a field that does not fit, FRMPayload
 * without FPort, or FOpts beside FPort 0.
 */
export function encodeDataFrame(frame: Omit<DataFrame, 'mic'>): Uint8Array {
  const { fOpts, fPort, frmPayload } = frame
  requireConsistentPort(fOpts, fPort, frmPayload)
  const size = SIZE_BEFORE_F_OPTS + fOpts.length + (fPort === undefined ? 0 : 1) + frmPayload.length
  requireFrameSize(size + MIC_SIZE)
  const bytes = new Uint8Array(size)
  bytes[0] = MHDR[frame.mType]
  bytes.set(devAddrToWire(frame.devAddr), 1)
  bytes[5] = encodeFCtrl(frame)
  writeUint(bytes, 6, 2, frame.fCnt)
  bytes.set(fOpts, SIZE_BEFORE_F_OPTS)
  if (fPort !== undefined) writeUint(bytes, SIZE_BEFORE_F_OPTS + fOpts.length, 1, fPort)
  bytes.set(frmPayload, size - frmPayload.length)
  return bytes
}

/**
 * Takes a data frame with MIC apart; the MIC is for whoever has the key and the full counter.
 * @throws {FrameError} `frame_size`: below 12 or above 255 bytes, or FOpts longer than the frame. `frame_type`: MHDR is
 * not that of a data frame of Major 0. `frame_field`: FOpts beside FPort 0, which LoRaWAN 1.0.3 §4.3.1.6 has ignored.
 */
export function decodeDataFrame(phyPayload: Uint8Array): DataFrame {
  requireFrameSize(phyPayload.length)
  const mType = M_TYPE_OF_MHDR.get(phyPayload[0])
  if (mType === undefined) throw new FrameError('frame_type', 'MHDR is not that of a data frame')
  const fCtrl = readUint(phyPayload, 5, 1)
  const fOptsEnd = SIZE_BEFORE_F_OPTS + (fCtrl & F_CTRL.fOptsLen)
  const end = phyPayload.length - MIC_SIZE
  if (fOptsEnd > end) throw new FrameError('frame_size', 'FOpts are longer than the frame')
  const frame = {
    mType,
    devAddr: devAddrFromWire(phyPayload.subarray(1, 5)),
    adr: (fCtrl & F_CTRL.adr) !== 0,
    adrAckReq: (fCtrl & F_CTRL.adrAckReq) !== 0,
    ack: (fCtrl & F_CTRL.ack) !== 0,
    fPending: (fCtrl & F_CTRL.fPending) !== 0,
    fCnt: readUint(phyPayload, 6, 2),
    fOpts: new Uint8Array(phyPayload.subarray(SIZE_BEFORE_F_OPTS, fOptsEnd)),
    frmPayload: new Uint8Array(phyPayload.subarray(fOptsEnd + 1, end)),
    mic: new Uint8Array(phyPayload.subarray(end)),
  }
  if (fOptsEnd === end) return { ...frame, frmPayload: new Uint8Array(0) }
  const fPort = readUint(phyPayload, fOptsEnd, 1)
  requireConsistentPort(frame.fOpts, fPort, frame.frmPayload)
  return { ...frame, fPort }
}

function encodeFCtrl(frame: Omit<DataFrame, 'mic'>): number {
  return (
    (frame.adr ? F_CTRL.adr : 0) |
    (frame.adrAckReq ? F_CTRL.adrAckReq : 0) |
    (frame.ack ? F_CTRL.ack : 0) |
    (frame.fPending ? F_CTRL.fPending : 0) |
    frame.fOpts.length
  )
}

function requireConsistentPort(fOpts: Uint8Array, fPort: number | undefined, frmPayload: Uint8Array): void {
  if (fOpts.length > MAX_F_OPTS_SIZE) throw new FrameError('frame_field', `FOpts of ${fOpts.length} bytes, at most 15`)
  if (fPort === undefined && frmPayload.length > 0) throw new FrameError('frame_field', 'FRMPayload without FPort')
  // LoRaWAN 1.0.3 §4.3.1.6: MAC commands are in FOpts or in the payload of FPort 0, never in both.
  if (fPort === 0 && fOpts.length > 0) throw new FrameError('frame_field', 'FOpts beside FPort 0')
}

function requireFrameSize(size: number): void {
  if (size < SIZE_BEFORE_F_OPTS + MIC_SIZE || size > MAX_PHY_PAYLOAD_SIZE) {
    throw new FrameError('frame_size', `a data frame has 12 to ${MAX_PHY_PAYLOAD_SIZE} bytes, not ${size}`)
  }
}
