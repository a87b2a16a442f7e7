import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  bytesToHex,
  devAddrFromBytes,
  devAddrFromWire,
  devAddrToBytes,
  devAddrToWire,
  devEuiFromBytes,
  devEuiFromWire,
  eui64ToBytes,
  eui64ToWire,
  joinEuiFromBytes,
  joinEuiFromWire,
  netIdFromBytes,
  netIdFromWire,
  netIdToBytes,
  netIdToWire,
  parseDevAddr,
  parseDevEui,
  parseJoinEui,
  parseNetId,
  parseNsId,
} from '../src/index.ts'
import { bytes } from './arbitraries.ts'
import { codeThrownBy } from './errors.ts'

const TEXTS = [
  { name: 'DevEUI', parse: parseDevEui, valid: '70B3D57ED0A1b2c3' },
  { name: 'JoinEUI', parse: parseJoinEui, valid: '70B3D57ED0A1b2c3' },
  { name: 'NSID', parse: parseNsId, valid: '70B3D57ED0A1b2c3' },
  { name: 'NetID', parse: parseNetId, valid: '60aF13' },
  { name: 'DevAddr', parse: parseDevAddr, valid: '2601eF42' },
]

describe.each(TEXTS)('$name from text', ({ parse, valid }) => {
  test('is lower case, whatever the case was', () => {
    expect(parse(valid)).toBe(valid.toLowerCase())
    expect(parse(valid.toUpperCase())).toBe(valid.toLowerCase())
  })

  test.each([
    ['nothing', ''],
    ['a digit less', valid.slice(1)],
    ['a digit more', `${valid}0`],
    ['a byte less', valid.slice(2)],
    ['a prefix', `0x${valid}`],
    ['a prefix in the place of digits', `0x${valid.slice(2)}`],
    ['a letter that is no digit', `${valid.slice(1)}g`],
    ['a blank before', ` ${valid.slice(1)}`],
    ['a line end behind', `${valid}\n`],
    ['a line end in the place of a digit', `${valid.slice(1)}\n`],
    ['separators', `${valid.slice(0, -3)}-${valid.slice(-2)}`],
  ])('refuses %s', (_, text) => {
    expect(codeThrownBy(() => parse(text))).toBe('identifier_malformed')
  })
})

interface ByteForm<Identifier extends string> {
  name: string
  size: number
  toBytes: (identifier: Identifier) => Uint8Array
  toWire: (identifier: Identifier) => Uint8Array
  fromBytes: (bytes: Uint8Array) => Identifier
  fromWire: (bytes: Uint8Array) => Identifier
}

function describeByteForm<Identifier extends string>(form: ByteForm<Identifier>): void {
  const { name, size, toBytes, toWire, fromBytes, fromWire } = form
  describe(`${name} as bytes`, () => {
    test('is big-endian as displayed and little-endian on air, and comes back from both', () => {
      fc.assert(
        fc.property(bytes(size), (displayed) => {
          const identifier = fromBytes(displayed)
          expect(identifier).toBe(Buffer.from(displayed).toString('hex'))
          expect(toBytes(identifier)).toEqual(displayed)
          const onAir = displayed.toReversed()
          expect(toWire(identifier)).toEqual(onAir)
          expect(fromWire(onAir)).toBe(identifier)
          // The conversion must not turn the caller's bytes round where they lie.
          expect(onAir).toEqual(displayed.toReversed())
        }),
      )
    })

    test.each([-1, 1])('refuses %i byte too many', (difference) => {
      const wrong = new Uint8Array(size + difference)
      expect(codeThrownBy(() => fromBytes(wrong))).toBe('identifier_malformed')
      expect(codeThrownBy(() => fromWire(wrong))).toBe('identifier_malformed')
    })
  })
}

const EUI64 = { size: 8, toBytes: eui64ToBytes, toWire: eui64ToWire }
describeByteForm({ ...EUI64, name: 'DevEUI', fromBytes: devEuiFromBytes, fromWire: devEuiFromWire })
describeByteForm({ ...EUI64, name: 'JoinEUI', fromBytes: joinEuiFromBytes, fromWire: joinEuiFromWire })
describeByteForm({
  name: 'NetID',
  size: 3,
  toBytes: netIdToBytes,
  toWire: netIdToWire,
  fromBytes: netIdFromBytes,
  fromWire: netIdFromWire,
})
describeByteForm({
  name: 'DevAddr',
  size: 4,
  toBytes: devAddrToBytes,
  toWire: devAddrToWire,
  fromBytes: devAddrFromBytes,
  fromWire: devAddrFromWire,
})

test('reads the fields of a frame on air backwards', () => {
  // JoinEUI of the join-request captured for anthonykirby/lora-packet issue 10.
  expect(joinEuiFromWire(Uint8Array.of(0xdc, 0, 0, 0xd0, 0x7e, 0xd5, 0xb3, 0x70))).toBe('70b3d57ed00000dc')
  expect(bytesToHex(devAddrToWire(parseDevAddr('01020304')))).toBe('04030201')
  expect(bytesToHex(netIdToWire(parseNetId('000013')))).toBe('130000')
})
