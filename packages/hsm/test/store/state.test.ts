import { randomBytes } from 'node:crypto'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { HsmError } from '../../src/errors.ts'
import {
  decodeStoreState,
  encodeStoreState,
  MAX_UNACKNOWLEDGED_ORDERS,
  type StoreState,
} from '../../src/store/state.ts'

const bytes = (min: number, max = min) => fc.uint8Array({ minLength: min, maxLength: max }).map((a) => Buffer.from(a))
const hexId = bytes(16).map((id) => id.toString('hex'))
const uint32 = fc.integer({ min: 0, max: 0xffffffff })
const sequence = fc.maxSafeNat()
const time = fc.date({ min: new Date(0), max: new Date('9999-12-31'), noInvalidDate: true }).map((d) => d.toISOString())
const recipient = fc.constantFrom('ns 000013', 'as door-sensors', 'as a:b', 'as x')
const printable = fc.stringMatching(/^[\x21-\x7e]{1,64}$/)
const mapOf = <V>(key: fc.Arbitrary<string>, value: fc.Arbitrary<V>) =>
  fc.array(fc.tuple(key, value), { maxLength: 8 }).map((entries) => new Map(entries))

const softSettings = fc.record({
  kind: fc.constant('soft' as const),
  rootUse: bytes(32),
  session: bytes(32),
  binding: bytes(32),
  escrow: bytes(32),
  importPrivateKey: bytes(0, 64),
  receiptPrivateKey: bytes(0, 64),
})
const pkcs11Settings = fc.record({
  kind: fc.constant('pkcs11' as const),
  module: fc.string(),
  tokenLabel: fc.string(),
  objectPrefix: fc.string(),
  bindingBlob: bytes(40),
})
const change = fc.record({
  kind: fc.constantFrom('device' as const, 'kek' as const),
  id: bytes(16),
  record: fc.option(bytes(1, 64), { nil: undefined }),
})

const storeState: fc.Arbitrary<StoreState> = fc.record({
  hsmId: bytes(8),
  storageKeyId: bytes(8),
  createdAt: time,
  epoch: sequence,
  operatorPublicKey: bytes(0, 64),
  importPublicKey: bytes(0, 64),
  receiptPublicKey: bytes(0, 64),
  checkValues: fc.record({
    rootUseSentinel: bytes(24),
    rootUseCmac: bytes(16),
    sessionSentinel: bytes(24),
    sessionCmac: bytes(16),
    bindingCmac: bytes(16),
    escrowOfSentinel: bytes(24),
  }),
  backend: fc.oneof(softSettings, pkcs11Settings),
  floors: mapOf(hexId, uint32),
  labels: mapOf(
    fc.tuple(recipient, printable).map((parts) => parts.join(' ')),
    hexId,
  ),
  kekVersions: mapOf(recipient, uint32),
  lastSequence: mapOf(hexId, sequence),
  lastWorker: uint32,
  lastBoot: fc.nat(),
  unacknowledged: fc.array(
    fc.record({
      signer: hexId,
      sequence,
      orderDigest: bytes(32),
      records: fc.array(change, { maxLength: 4 }),
      receipt: bytes(0, 200),
    }),
    { maxLength: 4 },
  ),
})

describe('the state of the store', () => {
  it('survives writing and reading', () => {
    fc.assert(
      fc.property(storeState, (state) => {
        expect(decodeStoreState(encodeStoreState(state))).toEqual(state)
      }),
      { numRuns: 200 },
    )
  })

  it('is read or refused by name, whatever the bytes are', () => {
    fc.assert(
      fc.property(
        fc.oneof(
          bytes(0, 200),
          fc.json().map((text) => Buffer.from(text)),
        ),
        (input) => {
          expect(() => decodeStoreState(input)).toThrow('store_damaged')
        },
      ),
    )
  })

  const baseline = sample()
  it.each<[string, (file: StoreJson) => void, string]>([
    ['an unknown format version', (file) => (file['format'] = 'mortise-store-2'), 'format is not supported'],
    ['an unknown member', (file) => (file['more'] = 1), 'unknown member'],
    ['a missing member', (file) => delete file['epoch'], 'epoch'],
    ['a negative epoch', (file) => (file['epoch'] = -1), 'epoch'],
    ['an epoch that is no safe integer', (file) => (file['epoch'] = 2 ** 53), 'epoch'],
    ['an epoch as text', (file) => (file['epoch'] = '1'), 'epoch'],
    ['a short HSM id', (file) => (file['hsmId'] = '00'), 'hsmId'],
    ['an upper-case id', (file) => (file['storageKeyId'] = 'ABCDEF0102030405'), 'storageKeyId'],
    ['a time that is none', (file) => (file['createdAt'] = 'yesterday'), 'createdAt'],
    ['loose base64', (file) => (file['operatorPublicKey'] = 'AA'), 'operatorPublicKey'],
    ['text that is not base64', (file) => (file['importPublicKey'] = '<key>'), 'importPublicKey'],
    ['check values as a list', (file) => (file['checkValues'] = []), 'checkValues'],
    ['a short check value', (file) => (inner(file, 'checkValues')['bindingCmac'] = '00'), 'bindingCmac'],
    ['an unknown check value', (file) => (inner(file, 'checkValues')['other'] = '00'), 'unknown member'],
    ['an unknown back end', (file) => (inner(file, 'backend')['kind'] = 'paper'), 'kind'],
    ['a storage key of 16 bytes', (file) => (inner(file, 'backend')['escrow'] = 'A'.repeat(22) + '=='), 'escrow'],
    ['a setting of the other back end', (file) => (inner(file, 'backend')['module'] = '/lib/x.so'), 'unknown member'],
    ['floors that are no list', (file) => (file['floors'] = {}), 'floors'],
    ['a floor above 32 bits', (file) => (file['floors'] = [['00'.repeat(16), 2 ** 32]]), 'floors'],
    ['a floor for a short id', (file) => (file['floors'] = [['00', 1]]), 'floors'],
    [
      'two floors for one record',
      (file) =>
        (file['floors'] = [
          ['00'.repeat(16), 5],
          ['00'.repeat(16), 1],
        ]),
      'floors',
    ],
    ['a floor of three parts', (file) => (file['floors'] = [['00'.repeat(16), 1, 2]]), 'floors'],
    ['a label of an unknown kind', (file) => (file['labels'] = [['js x y', '00'.repeat(16)]]), 'labels'],
    ['a label of nobody', (file) => (file['labels'] = [['as x', '00'.repeat(16)]]), 'labels'],
    ['a label without KEK', (file) => (file['labels'] = [['as x y', '']]), 'labels'],
    ['a fractional KEK version', (file) => (file['kekVersions'] = [['as x', 1.5]]), 'kekVersions'],
    ['a sequence as text', (file) => (file['lastSequence'] = [['00'.repeat(16), '5']]), 'lastSequence'],
    ['an order that is no object', (file) => (file['unacknowledged'] = [1]), 'unacknowledged'],
    ['an order without digest', (file) => delete first(file, 'unacknowledged')['orderDigest'], 'orderDigest'],
    ['a record of an unknown kind', (file) => (first(first(file, 'unacknowledged'), 'records')['kind'] = 'x'), 'kind'],
    ['a record with a short id', (file) => (first(first(file, 'unacknowledged'), 'records')['id'] = '00'), 'id'],
  ])('refuses %s', (_name, change, member) => {
    const file = JSON.parse(encodeStoreState(baseline).toString()) as StoreJson
    expect(decodeStoreState(Buffer.from(JSON.stringify(file)))).toEqual(baseline)
    change(file)
    const refused = refusal(() => decodeStoreState(Buffer.from(JSON.stringify(file))))
    expect(refused?.code).toBe('store_damaged')
    expect(refused?.detail).toContain(member)
  })

  it('quotes nothing of a file that is cut', () => {
    const text = encodeStoreState(baseline)
    for (let length = 0; length < text.length; length += 7)
      expect(refusal(() => decodeStoreState(text.subarray(0, length)))?.detail).toBe('store: not JSON')
  })

  it('refuses to write what it would not read', () => {
    expect(refusal(() => encodeStoreState({ ...baseline, epoch: 1.5 }))?.detail).toContain('epoch')
    expect(() => encodeStoreState(baseline)).not.toThrow()
  })

  it('refuses to write more unacknowledged orders than the limit', () => {
    const [order] = baseline.unacknowledged
    const orders = (count: number) => Array.from({ length: count }, () => order!)
    const full = encodeStoreState({ ...baseline, unacknowledged: orders(MAX_UNACKNOWLEDGED_ORDERS) })
    expect(decodeStoreState(full).unacknowledged).toHaveLength(MAX_UNACKNOWLEDGED_ORDERS)
    const tooMany = { ...baseline, unacknowledged: orders(MAX_UNACKNOWLEDGED_ORDERS + 1) }
    expect(refusal(() => encodeStoreState(tooMany))?.code).toBe('order_backlog_full')
  })
})

type StoreJson = Record<string, unknown>

function inner(file: StoreJson, name: string): StoreJson {
  return file[name] as StoreJson
}

function first(file: StoreJson, name: string): StoreJson {
  return (file[name] as StoreJson[])[0]!
}

function sample(): StoreState {
  const id = randomBytes(16)
  return {
    hsmId: randomBytes(8),
    storageKeyId: randomBytes(8),
    createdAt: '2026-01-02T03:04:05.678Z',
    epoch: 7,
    operatorPublicKey: randomBytes(44),
    importPublicKey: randomBytes(422),
    receiptPublicKey: randomBytes(44),
    checkValues: {
      rootUseSentinel: randomBytes(24),
      rootUseCmac: randomBytes(16),
      sessionSentinel: randomBytes(24),
      sessionCmac: randomBytes(16),
      bindingCmac: randomBytes(16),
      escrowOfSentinel: randomBytes(24),
    },
    backend: {
      kind: 'soft',
      rootUse: randomBytes(32),
      session: randomBytes(32),
      binding: randomBytes(32),
      escrow: randomBytes(32),
      importPrivateKey: randomBytes(100),
      receiptPrivateKey: randomBytes(48),
    },
    floors: new Map([[id.toString('hex'), 0xffffffff]]),
    labels: new Map([['as door-sensors kek-1', id.toString('hex')]]),
    kekVersions: new Map([['as door-sensors', 1]]),
    lastSequence: new Map([[id.toString('hex'), 12]]),
    lastWorker: 4,
    lastBoot: 1_700_000_000_000,
    unacknowledged: [
      {
        signer: id.toString('hex'),
        sequence: 12,
        orderDigest: randomBytes(32),
        records: [
          { kind: 'device', id, record: randomBytes(200) },
          { kind: 'kek', id, record: undefined },
        ],
        receipt: randomBytes(120),
      },
    ],
  }
}

function refusal(act: () => unknown): HsmError | undefined {
  try {
    act()
    return undefined
  } catch (error) {
    if (error instanceof HsmError) return error
    throw error
  }
}
