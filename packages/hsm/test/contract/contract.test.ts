import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  decodeReleaseAppSKey,
  decodeReleasedAppSKey,
  encodeReleaseAppSKey,
  encodeReleasedAppSKey,
} from '../../src/contract/app-s-key.ts'
import { encodeFrame, FRAME, FrameSplitter } from '../../src/contract/frames.ts'
import {
  decodeJoinAnswer,
  APP_S_KEY_TO_NETWORK,
  decodeJoinCommand,
  decodeVerifyJoinRequest,
  encodeJoinAnswer,
  encodeJoinCommand,
  encodeVerifyJoinRequest,
} from '../../src/contract/join.ts'
import {
  decodeAcknowledgeOrder,
  decodeAppliedOrder,
  decodeApplyOrder,
  encodeAcknowledgeOrder,
  encodeAppliedOrder,
  encodeApplyOrder,
} from '../../src/contract/order.ts'
import {
  decodeHello,
  decodeRefusal,
  decodeWelcome,
  encodeHello,
  encodeRefusal,
  encodeWelcome,
} from '../../src/contract/session.ts'
import { HSM_ERROR_CODES, HsmError } from '../../src/errors.ts'
import {
  decodeReceiptAcknowledgement,
  decodeReceiptBundle,
  encodeReceiptAcknowledgement,
  encodeReceiptBundle,
} from '../../src/receipts/head.ts'
import { codeOf } from '../support/refusal.ts'

const fixed = (size: number): fc.Arbitrary<Buffer> =>
  fc.uint8Array({ minLength: size, maxLength: size }).map((bytes) => Buffer.from(bytes))
const some = fc.uint8Array({ minLength: 1, maxLength: 60 }).map((bytes) => Buffer.from(bytes))
const maybe = fc.option(some, { nil: undefined })
const uint = (bits: number): fc.Arbitrary<number> => fc.integer({ min: 0, max: 2 ** bits - 1 })
const head = fc.record({
  hsmId: fixed(8),
  bootEpoch: uint(48),
  worker: uint(32),
  sequence: uint(48),
  hash: fixed(32),
  closing: fc.boolean(),
  signature: fixed(64),
})

/** Every payload that crosses a socket: how it is written and read, and values of it. */
const CODECS: [string, fc.Arbitrary<never>, (value: never) => Buffer, (payload: Buffer) => unknown][] = [
  codec('hello', fc.record({ knownEpoch: uint(48) }), encodeHello, decodeHello),
  codec(
    'welcome',
    fc.record({
      hsmId: fixed(8),
      backend: fc.constantFrom('soft' as const, 'pkcs11' as const),
      epoch: uint(48),
      bootEpoch: uint(48),
      worker: uint(32),
      workers: uint(16),
      importPublicKey: some,
      receiptPublicKey: some,
      operatorPublicKey: some,
      lastSequence: uint(48),
    }),
    encodeWelcome,
    decodeWelcome,
  ),
  codec(
    'join command',
    fc.record({
      deviceRecord: some,
      phyPayload: some,
      netId: fixed(3),
      devAddr: fixed(4),
      dlSettings: uint(8),
      rxDelay: uint(8),
      cfList: maybe,
      joinNonce: uint(32),
      nsKekRecord: maybe,
      asKekRecord: maybe,
      appSKeyToNetwork: fc.constantFrom(...APP_S_KEY_TO_NETWORK),
    }),
    encodeJoinCommand,
    decodeJoinCommand,
  ),
  codec(
    'join answer',
    fc.record({
      phyPayload: some,
      networkKeys: fc.array(some, { maxLength: 3 }),
      appSKey: maybe,
      sessionKeyId: fixed(8),
      sessionRecord: some,
      receipt: some,
    }),
    encodeJoinAnswer,
    decodeJoinAnswer,
  ),
  codec(
    'verify',
    fc.record({ deviceRecord: some, phyPayload: some }),
    encodeVerifyJoinRequest,
    decodeVerifyJoinRequest,
  ),
  codec(
    'release',
    fc.record({ deviceRecord: some, sessionRecord: some, asKekRecord: some }),
    encodeReleaseAppSKey,
    decodeReleaseAppSKey,
  ),
  codec('released', fc.record({ appSKey: some, receipt: some }), encodeReleasedAppSKey, decodeReleasedAppSKey),
  codec(
    'order',
    fc.record({
      text: some,
      signatures: fc.array(fc.record({ signer: fixed(16), signature: fixed(64) }), { maxLength: 16 }),
      envelope: maybe,
      records: fc.array(some, { maxLength: 5 }),
    }),
    encodeApplyOrder,
    decodeApplyOrder,
  ),
  codec(
    'applied order',
    fc.record({
      changes: fc.array(
        fc.record({ kind: fc.constantFrom('device' as const, 'kek' as const), id: fixed(16), record: maybe }),
        { maxLength: 5 },
      ),
      epoch: uint(48),
      receipt: some,
    }),
    encodeAppliedOrder,
    decodeAppliedOrder,
  ),
  codec(
    'acknowledged order',
    fc.record({ signer: fixed(16), sequence: uint(48) }),
    ({ signer, sequence }) => encodeAcknowledgeOrder(signer, sequence),
    decodeAcknowledgeOrder,
  ),
  codec(
    'receipts',
    fc.record({ receipts: fc.array(some, { maxLength: 5 }), heads: fc.array(head, { maxLength: 3 }) }),
    encodeReceiptBundle,
    decodeReceiptBundle,
  ),
  codec(
    'acknowledged receipts',
    fc.record({ bootEpoch: uint(48), worker: uint(32), sequence: uint(48) }),
    encodeReceiptAcknowledgement,
    decodeReceiptAcknowledgement,
  ),
]

function codec<Value>(
  name: string,
  arbitrary: fc.Arbitrary<Value>,
  encode: (value: Value) => Buffer,
  decode: (payload: Buffer) => Value,
): (typeof CODECS)[number] {
  return [name, arbitrary as fc.Arbitrary<never>, encode, decode]
}

describe.each(CODECS)('the payload "%s"', (_name, arbitrary, encode, decode) => {
  test('comes back as it went in', () => {
    fc.assert(
      fc.property(arbitrary, (value) => {
        expect(decode(encode(value))).toEqual(value)
      }),
    )
  })

  test('is refused when it is cut short or longer', () => {
    fc.assert(
      fc.property(arbitrary, fc.nat(), (value, at) => {
        const payload = encode(value)
        expect(codeOf(() => decode(payload.subarray(0, at % payload.length)))).toBe('frame_malformed')
        expect(codeOf(() => decode(Buffer.concat([payload, Buffer.of(0)])))).toBe('frame_malformed')
      }),
    )
  })

  test('is refused by name or read, whatever the bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (noise) => {
        expect(['frame_malformed', 'accepted']).toContain(codeOf(() => decode(Buffer.from(noise))))
      }),
      { numRuns: 300 },
    )
    // A count that announces more than there is costs nothing.
    const started = performance.now()
    codeOf(() => decode(Buffer.alloc(40, 0xff)))
    expect(performance.now() - started).toBeLessThan(100)
  })
})

test('a refusal carries every code there is', () => {
  for (const code of HSM_ERROR_CODES) {
    const back = decodeRefusal(encodeRefusal(new HsmError(code, 'why')))
    expect([back.code, back.detail]).toEqual([code, 'why'])
    expect(decodeRefusal(encodeRefusal(new HsmError(code))).detail).toBeUndefined()
  }
})

describe('the frames of a stream', () => {
  const frame = fc.record({
    type: fc.constantFrom(...Object.values(FRAME)),
    requestId: uint(32),
    payload: fc.uint8Array({ maxLength: 50 }).map((bytes) => Buffer.from(bytes)),
  })

  test('are the same wherever the stream is cut', () => {
    fc.assert(
      fc.property(fc.array(frame, { maxLength: 6 }), fc.array(fc.nat(400), { maxLength: 8 }), (frames, cuts) => {
        const wire = Buffer.concat(frames.map(({ type, requestId, payload }) => encodeFrame(type, requestId, payload)))
        const splitter = new FrameSplitter()
        const edges = [0, ...cuts.map((cut) => Math.min(cut, wire.length)).sort((a, b) => a - b), wire.length]
        const got = edges.slice(1).flatMap((end, index) => splitter.push(wire.subarray(edges[index], end)))
        expect(got).toEqual(frames)
      }),
    )
  })

  test('are refused by name when the stream cannot be cut', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 11, maxLength: 100 }), (noise) => {
        const code = codeOf(() => new FrameSplitter().push(Buffer.from(noise)))
        expect(['frame_malformed', 'protocol_version_unsupported', 'accepted']).toContain(code)
      }),
    )
  })
})
