import { generateKeyPairSync, randomBytes } from 'node:crypto'
import { parseDevEui, parseJoinEui, parseNetId } from '@mortise/lorawan'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { envelopeDigest, parseEnvelope, sealEnvelope } from '../../src/orders/envelope.ts'
import { type Change, type Order, ORDER_FORMAT } from '../../src/orders/order.ts'
import { parseOrder } from '../../src/orders/parse-order.ts'
import { orderText, signerId, signOrder, verifyOrderSignature } from '../../src/orders/sign-order.ts'
import { codeOf, flipBit } from '../support/refusal.ts'

const ID = '00112233445566778899aabbccddeeff'
const EUIS = { devEui: parseDevEui('70b3d57ed0001234'), joinEui: parseJoinEui('70b3d57ed0000000') }
const POLICY = {
  applicationServers: ['door-sensors'],
  networkIsApplicationServer: false,
  networks: [parseNetId('000013')],
}
const REFERENCE = { device: ID, ...EUIS, replaces: 1 }

const CHANGES = {
  add10: { action: 'device.add', device: ID, owner: ID, ...EUIS, macVersion: '1.0.3', ...POLICY, appKey: 0 },
  add11: {
    action: 'device.add',
    device: ID,
    owner: ID,
    ...EUIS,
    macVersion: '1.1.0',
    ...POLICY,
    appKey: 'generate',
    nwkKey: 1,
  },
  set: { action: 'device.set', ...REFERENCE, ...POLICY },
  remove: { action: 'device.remove', ...REFERENCE },
  kek: {
    action: 'kek.set',
    kek: ID,
    kind: 'as',
    recipient: 'door-sensors',
    owner: ID,
    label: 'kek-1',
    size: 24,
    key: 0,
  },
  kekRemove: {
    action: 'kek.remove',
    kek: ID,
    kind: 'ns',
    recipient: parseNetId('000013'),
    label: 'kek-1',
    replaces: 1,
  },
  peer: {
    action: 'peer.add',
    peer: ID,
    kind: 'ns',
    id: '000013',
    nsId: '0011223344556677',
    protocol: '1.1',
    certificate: 'ab'.repeat(32),
  },
  disable: { action: 'peer.disable', peer: ID, kind: 'ns', id: '000013' },
  accept: { action: 'epoch.accept', epoch: 7 },
} as const satisfies Record<string, Change>

const ORDER: Order = {
  format: ORDER_FORMAT,
  hsm: '0123456789abcdef',
  signer: ID,
  sequence: 1,
  issuedAt: '2026-01-02T03:04:05.678Z',
  envelope: 'cd'.repeat(32),
  changes: Object.values(CHANGES),
}

const parseValue = (value: object): Order => parseOrder(orderText(value as Order))
const change = (name: keyof typeof CHANGES, members: object): object => ({
  ...ORDER,
  changes: [{ ...CHANGES[name], ...members }],
})

describe('an order', () => {
  test('is read as it was written', () => {
    expect(parseOrder(orderText(ORDER))).toEqual(ORDER)
    expect(parseValue({ ...ORDER, envelope: undefined })).toEqual({ ...ORDER, envelope: undefined })
  })

  test.each<[string, object]>([
    ['another format', { ...ORDER, format: 'mortise-order-2' }],
    ['an unknown member', { ...ORDER, priority: 1 }],
    ['no changes', { ...ORDER, changes: [] }],
    ['too many changes', { ...ORDER, changes: Array.from({ length: 501 }, () => CHANGES.accept) }],
    ['a short HSM id', { ...ORDER, hsm: '0123' }],
    ['upper-case hex', { ...ORDER, signer: ID.toUpperCase() }],
    ['sequence 0', { ...ORDER, sequence: 0 }],
    ['a sequence that the socket cannot carry', { ...ORDER, sequence: 2 ** 47 + 1 }],
    ['a sequence as text', { ...ORDER, sequence: '1' }],
    ['a fraction', { ...ORDER, sequence: 1.5 }],
    ['a time that is none', { ...ORDER, issuedAt: 'yesterday' }],
    ['an envelope of another size', { ...ORDER, envelope: 'cd' }],
    ['a change that is no object', { ...ORDER, changes: [1] }],
    ['an unknown action', change('accept', { action: 'epoch.forget' })],
    ['an unknown member of a change', change('add10', { priority: 1 })],
    ['NwkKey for 1.0', change('add10', { nwkKey: 1 })],
    ['no NwkKey for 1.1', change('add11', { nwkKey: undefined })],
    ['another word for a key', change('add10', { appKey: 'make' })],
    ['a negative index', change('add10', { appKey: -1 })],
    ['an unknown LoRaWAN version', change('add10', { macVersion: '1.2' })],
    ['another spelling of a version', change('add11', { macVersion: '1.1' })],
    ['a DevEUI in upper case', change('add10', { devEui: '70B3D57ED0001234' })],
    ['a short JoinEUI', change('add10', { joinEui: '70b3' })],
    ['an AS-ID with a space', change('add10', { applicationServers: ['a b'] })],
    ['an AS-ID beyond ASCII', change('add10', { applicationServers: ['tür'] })],
    ['an empty AS-ID', change('add10', { applicationServers: [''] })],
    ['an AS-ID too long', change('add10', { applicationServers: ['a'.repeat(65)] })],
    ['too many application servers', change('add10', { applicationServers: Array.from({ length: 17 }, () => 'a') })],
    ['too many networks', change('add10', { networks: Array.from({ length: 65 }, () => '000013') })],
    ['a NetID too short', change('add10', { networks: ['13'] })],
    ['a flag that is none', change('add10', { networkIsApplicationServer: 1 })],
    ['record version 0', change('remove', { replaces: 0 })],
    ['the record version of removal', change('remove', { replaces: 0xffffffff })],
    ['a KEK of 20 bytes', change('kek', { size: 20 })],
    ['a KEK kind', change('kek', { kind: 'js' })],
    ['a NetID that is none for a network', change('kek', { kind: 'ns' })],
    ['a label too long', change('kek', { label: 'x'.repeat(65) })],
    ['a KEK made inside', change('kek', { key: 'generate' })],
    ['a protocol version', change('peer', { protocol: '1.2' })],
    ['a short certificate digest', change('peer', { certificate: 'ab' })],
    ['an epoch that the socket cannot carry', change('accept', { epoch: 2 ** 48 })],
  ])('is refused with %s', (_name, value) => {
    expect(codeOf(() => parseValue(value))).toBe('order_malformed')
    expect(codeOf(() => parseOrder(orderText(ORDER)))).toBe('accepted')
  })

  test('has one text', () => {
    const text = orderText(ORDER).toString()
    for (const other of [
      ` ${text}`,
      `${text}\n`,
      JSON.stringify(JSON.parse(text), null, 1),
      text.replace('"sequence":1', '"sequence":1.0'),
      text.replace('"sequence":1', '"sequence":2,"sequence":1'),
      text.replace('"sequence"', '"\\u0073equence"'),
      text.replace('{', '{"__proto__":{},'),
    ])
      expect(codeOf(() => parseOrder(Buffer.from(other)))).toBe('order_malformed')
    expect(parseOrder(Buffer.from(text))).toEqual(ORDER)
  })

  test('is refused by name whatever the bytes, also deep or large', () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.uint8Array(),
          fc.json().map((text) => Buffer.from(text)),
        ),
        (noise) => {
          expect(codeOf(() => parseOrder(Buffer.from(noise)))).toBe('order_malformed')
        },
      ),
    )
    expect(codeOf(() => parseOrder(Buffer.from('['.repeat(1_000_000))))).toBe('order_malformed')
    expect(codeOf(() => parseOrder(Buffer.alloc(2 * 1024 * 1024, 0x20)))).toBe('order_malformed')
  })
})

describe('the signature of an order', () => {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519')
  const spki = publicKey.export({ format: 'der', type: 'spki' })
  const text = orderText(ORDER)
  const signature = signOrder(text, privateKey)

  test('is good for this text and key alone', () => {
    expect(verifyOrderSignature(text, signature, spki)).toBe(true)
    for (let bit = 0; bit < 8 * text.length; bit += 5)
      expect(verifyOrderSignature(flipBit(text, bit), signature, spki)).toBe(false)
    for (let bit = 0; bit < 512; bit++)
      expect(verifyOrderSignature(text, { ...signature, signature: flipBit(signature.signature, bit) }, spki)).toBe(
        false,
      )
    const other = generateKeyPairSync('ed25519').publicKey.export({ format: 'der', type: 'spki' })
    expect(verifyOrderSignature(text, signature, other)).toBe(false)
    expect(verifyOrderSignature(text, { ...signature, signer: signerId(other) }, other)).toBe(false)
  })
})

describe('an envelope', () => {
  const { publicKey } = generateKeyPairSync('rsa', { modulusLength: 3072 })
  const sealed = sealEnvelope(
    publicKey.export({ format: 'der', type: 'spki' }),
    [16, 24, 32].map((size) => randomBytes(size)),
  )

  test('is read strictly, and named by its digest', () => {
    expect(parseEnvelope(sealed).keys.map((key) => key.length)).toEqual([24, 32, 40])
    expect(envelopeDigest(sealed)).toMatch(/^[0-9a-f]{64}$/)
    const json = JSON.parse(sealed.toString()) as { format: string; transport: string; keys: string[] }
    for (const damaged of [
      { ...json, format: 'mortise-envelope-2' },
      { ...json, transport: json.transport.slice(2) },
      { ...json, keys: ['00'] },
      { ...json, keys: [1] },
      { ...json, keys: 'x' },
      [json],
      null,
    ])
      expect(codeOf(() => parseEnvelope(Buffer.from(JSON.stringify(damaged))))).toBe('envelope_damaged')
    expect(codeOf(() => parseEnvelope(Buffer.alloc(300 * 1024)))).toBe('envelope_damaged')
    fc.assert(
      fc.property(fc.uint8Array(), (noise) => {
        expect(codeOf(() => parseEnvelope(Buffer.from(noise)))).toBe('envelope_damaged')
      }),
    )
  })
})
