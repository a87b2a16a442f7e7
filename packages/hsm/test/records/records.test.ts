import { createHmac } from 'node:crypto'
import { MAC_VERSIONS, parseDevEui, parseJoinEui, parseNetId } from '@mortise/lorawan'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { decodeDeviceRecord, type DeviceRecord, encodeDeviceRecord } from '../../src/records/device-record.ts'
import { encodeRecord, RECORD_TYPE, splitRecord, verifyTag } from '../../src/records/format.ts'
import { decodeKekRecord, encodeKekRecord, KEK_SIZES, type KekRecord } from '../../src/records/kek-record.ts'
import { decodeSessionRecord, encodeSessionRecord, type SessionRecord } from '../../src/records/session-record.ts'
import { bitFlips, codeOf } from '../support/refusal.ts'

/** Any function of 16 bytes will do for the format; the token's CMAC is tested with the token. */
const tag = (message: Uint8Array): Buffer => createHmac('sha256', 'test').update(message).digest().subarray(0, 16)
const STORAGE_KEY_ID = Buffer.from('0123456789abcdef', 'hex')

const bytes = (size: number): fc.Arbitrary<Buffer> =>
  fc.uint8Array({ minLength: size, maxLength: size }).map((array) => Buffer.from(array))
const hex = (size: number): fc.Arbitrary<string> => bytes(size).map((value) => value.toString('hex'))
const printable = (maxLength: number): fc.Arbitrary<string> =>
  fc
    .array(fc.integer({ min: 0x21, max: 0x7e }), { minLength: 1, maxLength })
    .map((codes) => String.fromCharCode(...codes))
const uint32 = fc.integer({ min: 0, max: 0xffffffff })
const blobs = fc.record({ rootUse: bytes(24), escrow: bytes(24) })

const device: fc.Arbitrary<DeviceRecord> = fc
  .record({
    deviceId: bytes(16),
    devEui: hex(8).map(parseDevEui),
    joinEui: hex(8).map(parseJoinEui),
    macVersion: fc.constantFrom(...MAC_VERSIONS),
    recordVersion: uint32,
    keyGeneration: fc.integer({ min: 0, max: 0xffff }),
    owner: bytes(16),
    applicationServers: fc.array(printable(64), { maxLength: 16 }),
    networkIsApplicationServer: fc.boolean(),
    networks: fc.array(hex(3).map(parseNetId), { maxLength: 64 }),
    receiptSalt: bytes(16),
    appKey: blobs,
    other: blobs,
  })
  .map(({ other, ...record }) => (record.macVersion === '1.1.0' ? { ...record, nwkKey: other } : record))

const kek: fc.Arbitrary<KekRecord> = fc.constantFrom(...KEK_SIZES).chain((size) =>
  fc.record({
    kekId: bytes(16),
    kind: fc.constantFrom('ns' as const, 'as' as const),
    recipient: printable(64),
    owner: bytes(16),
    recordVersion: uint32,
    kekVersion: uint32,
    label: printable(64),
    size: fc.constant(size),
    blob: bytes(size + 8),
  }),
)

const session: fc.Arbitrary<SessionRecord> = fc.record({
  deviceId: bytes(16),
  sessionKeyId: bytes(8),
  owner: bytes(16),
  appSKey: bytes(24),
})

type Encode<Record> = (record: Record, storageKeyId: Uint8Array, tagOf: typeof tag) => Buffer
type Kind = [string, fc.Arbitrary<never>, Encode<never>, (bytes: Buffer) => unknown]

function kind<Record>(
  name: string,
  arbitrary: fc.Arbitrary<Record>,
  encode: Encode<Record>,
  decode: (bytes: Buffer) => Record,
): Kind {
  return [name, arbitrary as fc.Arbitrary<never>, encode, decode]
}

const KINDS: Kind[] = [
  kind('device', device, encodeDeviceRecord, decodeDeviceRecord),
  kind('KEK', kek, encodeKekRecord, decodeKekRecord),
  kind('session', session, encodeSessionRecord, decodeSessionRecord),
]

describe.each(KINDS)('a %s record', (_name, arbitrary, encode, decode) => {
  const [baseline] = fc.sample(arbitrary, { numRuns: 1, seed: 7 }) as unknown as [never]
  const encoded = encode(baseline, STORAGE_KEY_ID, tag)
  const open = (record: Buffer): void => {
    decode(record)
    verifyTag(record, STORAGE_KEY_ID, tag)
  }

  test('comes back as it went in, in one encoding', () => {
    fc.assert(
      fc.property(arbitrary, (record) => {
        const bytesOfIt = encode(record, STORAGE_KEY_ID, tag)
        const read = decode(bytesOfIt) as never
        expect(read).toEqual(record)
        expect(encode(read, STORAGE_KEY_ID, tag)).toEqual(bytesOfIt)
        verifyTag(bytesOfIt, STORAGE_KEY_ID, tag)
      }),
    )
  })

  test('is refused with any bit changed, by the code of the part that it is in', () => {
    expect(
      codeOf(() => {
        open(encoded)
      }),
    ).toBe('accepted')
    for (const { bit, flipped } of bitFlips(encoded)) {
      const code = codeOf(() => {
        open(flipped)
      })
      const byte = bit >> 3
      if (byte < 4) expect(code).toBe('record_malformed')
      else if (byte === 4 || byte === 14) expect(code).toBe('record_format_unsupported')
      else if (byte === 5) expect(code).toBe('record_type_mismatch')
      else if (byte < 14) expect(code).toBe('storage_key_unknown')
      else if (byte >= encoded.length - 16) expect(code).toBe('record_tag_mismatch')
      else expect(['record_malformed', 'record_format_unsupported', 'record_tag_mismatch']).toContain(code)
    }
  })

  test('is refused at every length but its own', () => {
    for (let length = 0; length < encoded.length; length++)
      expect(
        codeOf(() => {
          open(encoded.subarray(0, length))
        }),
      ).toMatch(/^record_(malformed|tag_mismatch|type_mismatch|format_unsupported)$/)
    expect(
      codeOf(() => {
        open(Buffer.concat([encoded, Buffer.alloc(1)]))
      }),
    ).toMatch(/^record_(malformed|tag_mismatch)$/)
    expect(
      codeOf(() => {
        open(Buffer.alloc(4097))
      }),
    ).toBe('record_malformed')
  })

  test('never makes a reader fail but by name, whatever the bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 400 }), fc.boolean(), (noise, headed) => {
        const record = Buffer.concat([headed ? encoded.subarray(0, 15) : Buffer.alloc(0), noise])
        expect(codeOf(() => decode(record))).not.toBe('accepted')
      }),
      { numRuns: 500 },
    )
  })
})

describe('the fields of a record', () => {
  const make = (fields: [number, Buffer][]): Buffer => encodeRecord(RECORD_TYPE.session, STORAGE_KEY_ID, fields, tag)
  const whole: [number, Buffer][] = [
    [1, Buffer.alloc(16, 1)],
    [2, Buffer.alloc(8, 2)],
    [3, Buffer.alloc(16, 3)],
    [4, Buffer.alloc(24, 4)],
  ]

  test('are all there, once, in order, and nothing else', () => {
    expect(codeOf(() => decodeSessionRecord(make(whole)))).toBe('accepted')
    for (const index of whole.keys())
      expect(codeOf(() => decodeSessionRecord(make(whole.toSpliced(index, 1))))).toBe('record_malformed')
    expect(codeOf(() => decodeSessionRecord(make([...whole, [5, Buffer.alloc(1)]])))).toBe('record_malformed')
    expect(codeOf(() => decodeSessionRecord(make([...whole].reverse())))).toBe('record_malformed')
    expect(codeOf(() => decodeSessionRecord(make([...whole, whole[3]!])))).toBe('record_malformed')
    expect(codeOf(() => decodeSessionRecord(make(whole.with(1, [2, Buffer.alloc(9)]))))).toBe('record_malformed')
  })

  test('have one encoding of their length', () => {
    for (const length of [0, 1, 127, 128, 129, 3000]) {
      const record = make([[1, Buffer.alloc(length, 9)]])
      expect(splitRecord(record, RECORD_TYPE.session).get(1)).toEqual(Buffer.alloc(length, 9))
    }
    const short = make([[1, Buffer.alloc(5, 9)]])
    const longer = Buffer.concat([short.subarray(0, 16), Buffer.of(0x85, 0x00), short.subarray(17)])
    expect(codeOf(() => splitRecord(longer, RECORD_TYPE.session))).toBe('record_malformed')
  })

  test('do not fit a record beyond its limit', () => {
    expect(codeOf(() => make([[1, Buffer.alloc(4060)]]))).toBe('accepted')
    expect(codeOf(() => make([[1, Buffer.alloc(4080)]]))).toBe('record_malformed')
  })
})
