import fc from 'fast-check'
import {
  bytesToHex,
  type DataFrame,
  type DataMType,
  devAddrFromBytes,
  devEuiFromBytes,
  type JoinAccept,
  type JoinRequest,
  joinEuiFromBytes,
  netIdFromBytes,
  type RejoinRequest,
} from '../src/index.ts'

export function bytes(size: number): fc.Arbitrary<Uint8Array> {
  return fc.uint8Array({ minLength: size, maxLength: size })
}

export const key = bytes(16)
export const devEui = bytes(8).map(devEuiFromBytes)
export const joinEui = bytes(8).map(joinEuiFromBytes)
export const netId = bytes(3).map(netIdFromBytes)
export const devAddr = bytes(4).map(devAddrFromBytes)
export const uint8 = fc.nat(0xff)
export const uint16 = fc.nat(0xffff)
export const uint24 = fc.nat(0xffffff)
export const uint32 = fc.nat(0xffffffff)
export const direction = fc.constantFrom('up' as const, 'down' as const)

export const joinRequest: fc.Arbitrary<JoinRequest> = fc.record({ joinEui, devEui, devNonce: uint16, mic: bytes(4) })

export const rejoinRequest: fc.Arbitrary<RejoinRequest> = fc.oneof(
  fc.record({ rejoinType: fc.constantFrom(0 as const, 2 as const), netId, devEui, rjCount0: uint16, mic: bytes(4) }),
  fc.record({ rejoinType: fc.constant(1 as const), joinEui, devEui, rjCount1: uint16, mic: bytes(4) }),
)

export const joinAccept: fc.Arbitrary<JoinAccept> = fc.record(
  { joinNonce: uint24, netId, devAddr, dlSettings: uint8, rxDelay: fc.nat(15), cfList: bytes(16) },
  { requiredKeys: ['joinNonce', 'netId', 'devAddr', 'dlSettings', 'rxDelay'] },
)

const mType = fc.constantFrom<DataMType>('unconfirmed-up', 'unconfirmed-down', 'confirmed-up', 'confirmed-down')

const frameHead = fc.record({
  mType,
  devAddr,
  adr: fc.boolean(),
  adrAckReq: fc.boolean(),
  ack: fc.boolean(),
  fPending: fc.boolean(),
  fCnt: uint16,
  mic: bytes(4),
})

/** Every frame that LoRaWAN allows: with a payload, with FPort 0 and no FOpts, or with FOpts alone. */
export const dataFrame: fc.Arbitrary<DataFrame> = fc
  .tuple(
    frameHead,
    fc.uint8Array({ maxLength: 15 }),
    fc.option(uint8, { nil: undefined }),
    fc.uint8Array({ maxLength: 222 }),
  )
  .map(([head, fOpts, fPort, frmPayload]) => {
    if (fPort === undefined) return { ...head, fOpts, frmPayload: new Uint8Array(0) }
    return { ...head, fOpts: fPort === 0 ? new Uint8Array(0) : fOpts, fPort, frmPayload }
  })

export function buffer(source: Uint8Array): Buffer {
  return Buffer.from(source)
}

/** A number as Buffer of `size` bytes, most significant first. */
export function bigEndian(size: number, value: number): Buffer {
  return Buffer.from(value.toString(16).padStart(2 * size, '0'), 'hex')
}

/** As hexadecimal text; '' for a field that lora-packet leaves out. */
export function hexOf(bytes: Uint8Array | undefined): string {
  return bytes === undefined ? '' : bytesToHex(bytes)
}
