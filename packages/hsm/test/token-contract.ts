import { createPublicKey, randomBytes, verify } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { HsmError, type HsmErrorCode } from '../src/errors.ts'
import type { CheckValues, CreatedToken, Token, TokenKey } from '../src/token/token.ts'
import { aesBlock, aesCmac, aesDecrypt, keyUnwrap, keyWrap, sealTransport } from './soft/crypto-oracle.ts'

/** One token with fresh keys. */
export interface TokenFixture {
  readonly token: Token
  readonly created: CreatedToken<unknown>
  readonly recoveryKey: Buffer
  /** Opens the same keys again; the test has disposed of `token` before, and disposes of the result. */
  reopen(): Promise<Token>
  dispose(): Promise<void>
}

/** What every back end must do, with the answers worked out independently of it. */
export function tokenContract(name: string, make: () => Promise<TokenFixture>): void {
  describe('the oracle of the token contract', oracleTests)
  describe(`token contract: ${name}`, () => {
    let fixture: TokenFixture
    beforeAll(async () => {
      fixture = await make()
    })
    afterAll(() => fixture.dispose())

    describe('joins', () => {
      joinTests(() => fixture)
    })
    describe('primitives', () => {
      primitiveTests(() => fixture)
    })
    describe('keys that come in', () => {
      importTests(() => fixture)
    })
    describe('damage', () => {
      damageTests(() => fixture)
    })
    describe('uses', () => {
      useTests(() => fixture)
    })
    describe('check values and recovery', () => {
      recoveryTests(() => fixture)
    })

    it('keeps everything over a reopening, and does nothing once disposed of', async () => {
      const own = await make()
      try {
        await reopeningTest(own)
      } finally {
        await own.dispose()
      }
    })
  })
}

function oracleTests(): void {
  const cmacKey = hex('2b7e151628aed2a6abf7158809cf4f3c')
  const cmacMessage = hex(
    '6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e5130c81c46a35ce411e5fbc1191a0a52eff69f2445df4f9b17ad2b417be66c3710',
  )
  it.each([
    [0, 'bb1d6929e95937287fa37d129b756746'],
    [16, '070a16b46b4d4144f79bdd9dd04a287c'],
    [40, 'dfa66747de9ae63030ca32611497c827'],
    [64, '51f0bebf7e3b9d92fc49741779363cfe'],
  ])('agrees with RFC 4493 §4 for %i bytes', (length, expected) => {
    expect(aesCmac(cmacKey, cmacMessage.subarray(0, length)).toString('hex')).toBe(expected)
  })

  it.each([
    ['4.1', 16, 16, '1fa68b0a8112b447aef34bd8fb5a7b829d3e862371d2cfe5'],
    ['4.2', 24, 16, '96778b25ae6ca435f92b5b97c050aed2468ab8a17ad84e5d'],
    ['4.3', 32, 16, '64e8c3f9ce0f5ba263e9777905818a2a93c8191e7d6e8ae7'],
    ['4.6', 32, 32, '28c9f404c4b810f4cbccb35cfb87f8263f5786e2d80ed326cbc7f0e71a99f43bfb988b9b7a02dd21'],
  ])('agrees with RFC 3394 §%s', (_clause, kekBytes, keyBytes, expected) => {
    const kek = Buffer.from(Array.from({ length: kekBytes }, (_, i) => i))
    const key = hex('00112233445566778899aabbccddeeff000102030405060708090a0b0c0d0e0f').subarray(0, keyBytes)
    expect(keyWrap(kek, key).toString('hex')).toBe(expected)
    expect(keyUnwrap(kek, hex(expected))).toEqual(key)
  })
}

function joinTests(fixture: () => TokenFixture): void {
  it('answers the published LoRaWAN 1.0 capture (anthonykirby/lora-packet issue 10)', () => {
    const { token } = fixture()
    const root = importAndOpen(fixture(), hex('b6b53f4a168a7a88bdf7ea135ce9cfca'))
    const body = hex('203a06e5130000432e01260301184f84e85684b85e84886684586e8400')
    const mic = token.cmac(root, body).subarray(0, 4)
    const encrypted = token.decryptBlocks(root, Buffer.concat([body.subarray(1), mic]))
    expect(token.cmac(root, hex('00dc0000d07ed5b3701e6fedf57ceeaf0085cc')).toString('hex', 0, 4)).toBe('587fe913')
    expect(encrypted.toString('hex')).toBe('4dd85ae608b87fc4889970b7d2042c9e72959b0057aed6094b16003df12de145')
    expect(derived(token, root, block('01', '3a06e5', '130000', '85cc'))).toBe('2c96f7028184bb0be8aa49275290d4fc')
    expect(derived(token, root, block('02', '3a06e5', '130000', '85cc'))).toBe('f3a5c8f0232a38c144029c165865802c')
  })

  it('derives the LoRaWAN 1.1 keys of brocaar/lorawan backend/joinserver/joinserver_test.go', () => {
    const { token } = fixture()
    const nwkKey = importAndOpen(fixture(), hex('01020304050607080102030405060708'))
    const appKey = importAndOpen(fixture(), Buffer.alloc(16))
    const rest = ['000001', '0102030405060708', '0201'] as const
    expect(derived(token, nwkKey, block('01', ...rest))).toBe('537f8aae896c79e015d102d06286354e')
    expect(derived(token, nwkKey, block('03', ...rest))).toBe('589498993092cfdb5fd2e02ac7510bf1')
    expect(derived(token, nwkKey, block('04', ...rest))).toBe('9898283c4f66eb6c6fd5165882046c40')
    expect(derived(token, appKey, block('02', ...rest))).toBe('01621215d1ca08febf0c602cc2ad90fa')
  })

  // LoRaWAN 1.1 §6.2.5: with OptNeg 0 a 1.1 device derives every session key, AppSKey too, from NwkKey.
  it('goes through a whole join as the oracle does: 1.0.x, and 1.1 with OptNeg 0', () => {
    const { token } = fixture()
    const rootBytes = randomBytes(16)
    const keks = importKeks(fixture())
    const root = importAndOpen(fixture(), rootBytes)
    checkMicAndAccept(token, root, rootBytes)
    const accept = randomBytes(29)
    expect(token.cmac(root, accept)).toEqual(aesCmac(rootBytes, accept))
    checkDelivery(token, root, rootBytes, keks.ns, ['01'])
    checkDelivery(token, root, rootBytes, keks.as, ['02'])
    checkStorage(fixture(), root, rootBytes)
    token.close(root)
  })

  it('goes through a whole join as the oracle does: 1.1 with OptNeg 1', () => {
    const { token } = fixture()
    const nwkBytes = randomBytes(16)
    const appBytes = randomBytes(16)
    const keks = importKeks(fixture())
    const nwkKey = importAndOpen(fixture(), nwkBytes)
    const appKey = importAndOpen(fixture(), appBytes)
    checkMicAndAccept(token, nwkKey, nwkBytes)
    const jsIntKey = token.derive(nwkKey, block('06', '0807060504030201'), 'mac')
    const accept = randomBytes(40)
    expect(token.cmac(jsIntKey, accept)).toEqual(aesCmac(aesBlock(nwkBytes, block('06', '0807060504030201')), accept))
    checkDelivery(token, nwkKey, nwkBytes, keks.ns, ['01', '03', '04'])
    checkDelivery(token, appKey, appBytes, keks.as, ['02'])
    checkStorage(fixture(), appKey, appBytes)
    for (const key of [jsIntKey, nwkKey, appKey]) token.close(key)
  })

  it('encrypts a rejoin-accept under JSEncKey (a key derived with use decrypt)', () => {
    const { token } = fixture()
    const rootBytes = randomBytes(16)
    const root = importAndOpen(fixture(), rootBytes)
    const input = block('05', '0807060504030201')
    const jsEncKey = token.derive(root, input, 'decrypt')
    const plain = randomBytes(16)
    expect(token.decryptBlocks(jsEncKey, plain)).toEqual(aesDecrypt(aesBlock(rootBytes, input), plain))
  })
}

interface Kek {
  readonly bytes: Buffer
  readonly key: TokenKey
}

function importKeks(fixture: TokenFixture): { ns: Kek; as: Kek } {
  const [ns, as] = [randomBytes(32), randomBytes(16)]
  return {
    ns: { bytes: ns, key: importAndOpenKek(fixture, ns) },
    as: { bytes: as, key: importAndOpenKek(fixture, as) },
  }
}

function checkMicAndAccept(token: Token, root: TokenKey, rootBytes: Buffer): void {
  const request = randomBytes(19)
  const accept = randomBytes(32)
  expect(token.cmac(root, request)).toEqual(aesCmac(rootBytes, request))
  expect(token.decryptBlocks(root, accept)).toEqual(aesDecrypt(rootBytes, accept))
}

function checkDelivery(token: Token, root: TokenKey, rootBytes: Buffer, kek: Kek, types: string[]): void {
  for (const type of types) {
    const input = block(type, randomBytes(8).toString('hex'))
    const key = token.derive(root, input, 'wrap')
    expect(token.wrap(kek.key, key)).toEqual(keyWrap(kek.bytes, aesBlock(rootBytes, input)))
    token.close(key)
  }
}

/** Once for an AppSKey that is wrapped, once for one that the network reads. */
function checkStorage(fixture: TokenFixture, root: TokenKey, rootBytes: Buffer): void {
  const { token } = fixture
  for (const use of ['wrap', 'read'] as const) {
    const key = token.derive(root, block('02'), use)
    expect(token.wrapForStorage(key)).toEqual(keyWrap(storageKey(fixture, 'session'), aesBlock(rootBytes, block('02'))))
    token.close(key)
  }
}

function primitiveTests(fixture: () => TokenFixture): void {
  it('makes CMACs of every length up to four blocks, with keys used in turn', () => {
    const { token } = fixture()
    const bytes = [randomBytes(16), randomBytes(16)]
    const keys = bytes.map((key) => importAndOpen(fixture(), key))
    for (let length = 1; length <= 65; length++) {
      const message = randomBytes(length)
      expect(keys.map((key) => token.cmac(key, message))).toEqual(bytes.map((key) => aesCmac(key, message)))
    }
  })

  it.each([1, 15, 16, 17, 110, 200, 4080])('tags %i bytes with the binding key, the same way every time', (length) => {
    const { token } = fixture()
    const message = randomBytes(length)
    const expected = aesCmac(storageKey(fixture(), 'binding'), message)
    expect(token.tag(message)).toEqual(expected)
    expect(token.tag(message)).toEqual(expected)
  })

  it.each([16, 24, 32])('wraps under a KEK of %i bytes', (size) => {
    const { token } = fixture()
    const kekBytes = randomBytes(size)
    const rootBytes = randomBytes(16)
    const kek = importAndOpenKek(fixture(), kekBytes)
    const key = token.derive(importAndOpen(fixture(), rootBytes), block('02'), 'wrap')
    expect(token.wrap(kek, key)).toEqual(keyWrap(kekBytes, aesBlock(rootBytes, block('02'))))
    expect(token.wrap(kek, key)).toHaveLength(24)
  })

  it('opens a stored AppSKey, which can be wrapped for another recipient', () => {
    const { token } = fixture()
    const rootBytes = randomBytes(16)
    const kekBytes = randomBytes(16)
    const stored = token.wrapForStorage(token.derive(importAndOpen(fixture(), rootBytes), block('02'), 'wrap'))
    const appSKey = token.openAppSKey(stored)
    expect(token.wrap(importAndOpenKek(fixture(), kekBytes), appSKey)).toEqual(
      keyWrap(kekBytes, aesBlock(rootBytes, block('02'))),
    )
    expect(token.wrapForStorage(appSKey)).toEqual(stored)
  })

  it('signs with the receipt key', () => {
    const { token, created } = fixture()
    const publicKey = createPublicKey({ key: created.receiptPublicKey, format: 'der', type: 'spki' })
    const head = randomBytes(120)
    const signature = token.sign(head)
    expect(publicKey.asymmetricKeyType).toBe('ed25519')
    expect(signature).toHaveLength(64)
    expect(verify(null, head, publicKey, signature)).toBe(true)
    expect(verify(null, Buffer.concat([head, Buffer.of(0)]), publicKey, signature)).toBe(false)
  })

  it('counts the objects that it makes', () => {
    const { token } = fixture()
    const { rootUse } = token.generateRoot()
    const before = token.objectsMade
    const root = token.openRoot(rootUse)
    token.close(token.derive(root, block('01'), 'wrap'))
    token.close(root)
    expect(token.objectsMade - before).toBeGreaterThanOrEqual(2)
  })
}

function importTests(fixture: () => TokenFixture): void {
  it('has an import key of RSA-3072', () => {
    const key = createPublicKey({ key: fixture().created.importPublicKey, format: 'der', type: 'spki' })
    expect(key.asymmetricKeyType).toBe('rsa')
    expect(key.asymmetricKeyDetails?.modulusLength).toBe(3072)
  })

  it('takes many keys out of one envelope', () => {
    const { token } = fixture()
    const { transport, transportKey } = openEnvelope(fixture())
    const roots = [randomBytes(16), randomBytes(16)]
    const kek = randomBytes(32)
    const wrapped = roots.map((root) => token.importRoot(transport, keyWrap(transportKey, root)))
    expect(wrapped.map(({ rootUse }) => rootUse)).toEqual(
      roots.map((root) => keyWrap(storageKey(fixture(), 'rootUse'), root)),
    )
    expect(token.importKek(transport, keyWrap(transportKey, kek))).toEqual(
      keyWrap(storageKey(fixture(), 'session'), kek),
    )
  })

  it('generates a root key that differs every time and is kept under root-use and under escrow', () => {
    const { token } = fixture()
    const made = [token.generateRoot(), token.generateRoot()]
    expect(made[0]).not.toEqual(made[1])
    for (const { rootUse, escrow } of made) {
      const key = keyUnwrap(storageKey(fixture(), 'escrow'), escrow)
      expect(key).toHaveLength(16)
      expect(token.cmac(token.openRoot(rootUse), Buffer.of(1))).toEqual(aesCmac(key, Buffer.of(1)))
    }
  })
}

function damageTests(fixture: () => TokenFixture): void {
  type Open = (token: Token, blob: Buffer) => unknown
  const blobs: [string, (token: Token) => Buffer, Open][] = [
    ['openRoot', (token) => token.generateRoot().rootUse, (token, blob) => token.openRoot(blob)],
    ['openKek', () => importKek(fixture(), randomBytes(24)), (token, blob) => token.openKek(blob)],
    ['openAppSKey', (token) => storeAppSKey(token), (token, blob) => token.openAppSKey(blob)],
  ]
  it.each(blobs)('%s refuses a blob with any bit flipped, and goes on working', (_name, makeBlob, open) => {
    const { token } = fixture()
    const blob = makeBlob(token)
    expect(() => open(token, blob)).not.toThrow()
    for (let bit = 0; bit < 8 * blob.length; bit++)
      expect(refusal(() => open(token, flipBit(blob, bit)))).toBe('key_blob_damaged')
    expect(() => open(token, blob)).not.toThrow()
  })

  it.each(blobs)('%s refuses a blob of wrong length', (_name, makeBlob, open) => {
    const { token } = fixture()
    const blob = makeBlob(token)
    for (const wrong of [Buffer.alloc(0), blob.subarray(0, 16), blob.subarray(8), Buffer.concat([blob, blob])])
      expect(refusal(() => open(token, wrong))).toBe('key_blob_damaged')
    expect(() => open(token, blob)).not.toThrow()
  })

  it('refuses a blob that lies under another storage key', () => {
    const { token } = fixture()
    const { rootUse, escrow } = token.generateRoot()
    expect(refusal(() => token.openRoot(escrow))).toBe('key_blob_damaged')
    expect(refusal(() => token.openRoot(storeAppSKey(token)))).toBe('key_blob_damaged')
    expect(refusal(() => token.openAppSKey(rootUse))).toBe('key_blob_damaged')
    expect(refusal(() => token.openKek(rootUse))).toBe('key_blob_damaged')
    expect(() => token.openRoot(rootUse)).not.toThrow()
  })

  it('refuses a damaged envelope, and then takes the whole one', () => {
    const { token, created } = fixture()
    const ciphertext = sealTransport(created.importPublicKey, randomBytes(32))
    const damaged = [0, 8, 1000, 8 * ciphertext.length - 1].map((bit) => flipBit(ciphertext, bit))
    const wrongLength = [Buffer.alloc(0), ciphertext.subarray(1), Buffer.concat([ciphertext, Buffer.alloc(1)])]
    for (const wrong of [...damaged, ...wrongLength])
      expect(refusal(() => token.openTransport(wrong))).toBe('envelope_damaged')
    expect(() => token.openTransport(ciphertext)).not.toThrow()
  })

  it('refuses a key in an envelope that is damaged, of another size or under another transport key', () => {
    const { token } = fixture()
    const { transport, transportKey } = openEnvelope(fixture())
    const root = keyWrap(transportKey, randomBytes(16))
    const kek = keyWrap(transportKey, randomBytes(32))
    const foreign = keyWrap(randomBytes(32), randomBytes(16))
    for (const wrong of [flipBit(root, 0), flipBit(root, 191), foreign, kek, root.subarray(8), Buffer.alloc(0)])
      expect(refusal(() => token.importRoot(transport, wrong))).toBe('envelope_damaged')
    for (const wrong of [flipBit(kek, 7), foreign, kek.subarray(8, 24), Buffer.concat([kek, kek]), Buffer.alloc(0)])
      expect(refusal(() => token.importKek(transport, wrong))).toBe('envelope_damaged')
    expect(() => token.importRoot(transport, root)).not.toThrow()
    expect(() => token.importKek(transport, kek)).not.toThrow()
  })

  it.each<[string, (token: Token, root: TokenKey) => unknown, (token: Token, root: TokenKey) => unknown]>([
    ['an empty CMAC', (token, root) => token.cmac(root, EMPTY), (token, root) => token.cmac(root, Buffer.of(0))],
    ['an empty tag', (token) => token.tag(EMPTY), (token) => token.tag(Buffer.of(0))],
    [
      'a derivation from 15 bytes',
      (token, root) => token.derive(root, Buffer.alloc(15), 'wrap'),
      (token, root) => token.derive(root, Buffer.alloc(16), 'wrap'),
    ],
    [
      'a derivation from 32 bytes',
      (token, root) => token.derive(root, Buffer.alloc(32), 'wrap'),
      (token, root) => token.derive(root, Buffer.alloc(16), 'read'),
    ],
    [
      'the decryption of 17 bytes',
      (token, root) => token.decryptBlocks(root, Buffer.alloc(17)),
      (token, root) => token.decryptBlocks(root, Buffer.alloc(32)),
    ],
    [
      'the decryption of nothing',
      (token, root) => token.decryptBlocks(root, EMPTY),
      (token, root) => token.decryptBlocks(root, Buffer.alloc(16)),
    ],
  ])('refuses %s', (_name, refused, accepted) => {
    const { token } = fixture()
    const root = token.openRoot(token.generateRoot().rootUse)
    expect(refusal(() => refused(token, root))).toBe('token_failed')
    expect(() => accepted(token, root)).not.toThrow()
  })
}

const EMPTY = Buffer.alloc(0)

interface Keys {
  root: TokenKey
  kek: TokenKey
  transport: TokenKey
  appSKey: TokenKey
  toWrap: TokenKey
  toRead: TokenKey
  toMac: TokenKey
  toDecrypt: TokenKey
}

function useTests(fixture: () => TokenFixture): void {
  const input = Buffer.alloc(16)
  type Act = (token: Token, keys: Keys) => unknown
  it.each<[string, Act, Act]>([
    ['reading a key to wrap', (t, k) => t.read(k.toWrap), (t, k) => t.read(k.toRead)],
    ['reading a root key', (t, k) => t.read(k.root), (t, k) => t.read(k.toRead)],
    ['reading a stored AppSKey', (t, k) => t.read(k.appSKey), (t, k) => t.wrap(k.kek, k.appSKey)],
    ['reading a KEK', (t, k) => t.read(k.kek), (t, k) => t.wrap(k.kek, k.toWrap)],
    ['wrapping under a root key', (t, k) => t.wrap(k.root, k.toWrap), (t, k) => t.wrap(k.kek, k.toWrap)],
    ['wrapping under a session key', (t, k) => t.wrap(k.toRead, k.toWrap), (t, k) => t.wrap(k.kek, k.toWrap)],
    ['wrapping a root key', (t, k) => t.wrap(k.kek, k.root), (t, k) => t.wrap(k.kek, k.toWrap)],
    ['wrapping JSIntKey', (t, k) => t.wrap(k.kek, k.toMac), (t, k) => t.cmac(k.toMac, input)],
    ['wrapping JSEncKey', (t, k) => t.wrap(k.kek, k.toDecrypt), (t, k) => t.decryptBlocks(k.toDecrypt, input)],
    ['storing a root key', (t, k) => t.wrapForStorage(k.root), (t, k) => t.wrapForStorage(k.toWrap)],
    ['storing JSIntKey', (t, k) => t.wrapForStorage(k.toMac), (t, k) => t.wrapForStorage(k.toRead)],
    ['deriving from a KEK', (t, k) => t.derive(k.kek, input, 'wrap'), (t, k) => t.derive(k.root, input, 'wrap')],
    [
      'deriving from a session key',
      (t, k) => t.derive(k.toWrap, input, 'read'),
      (t, k) => t.derive(k.root, input, 'read'),
    ],
    ['a CMAC under a KEK', (t, k) => t.cmac(k.kek, input), (t, k) => t.cmac(k.root, input)],
    ['a CMAC under a key to wrap', (t, k) => t.cmac(k.toWrap, input), (t, k) => t.cmac(k.toMac, input)],
    ['decryption under a KEK', (t, k) => t.decryptBlocks(k.kek, input), (t, k) => t.decryptBlocks(k.root, input)],
    [
      'decryption under a key to wrap',
      (t, k) => t.decryptBlocks(k.toWrap, input),
      (t, k) => t.decryptBlocks(k.toDecrypt, input),
    ],
    ['reading a transport key', (t, k) => t.read(k.transport), (t, k) => t.read(k.toRead)],
  ])('refuses %s', (_name, refused, accepted) => {
    const { token } = fixture()
    const keys = openKeys(fixture())
    expect(refusal(() => refused(token, keys))).toBe('token_failed')
    expect(() => accepted(token, keys)).not.toThrow()
  })

  it('refuses a key that was closed', () => {
    const { token } = fixture()
    const keys = openKeys(fixture())
    expect(token.read(keys.toRead)).toHaveLength(16)
    token.close(keys.toRead)
    expect(refusal(() => token.read(keys.toRead))).toBe('token_failed')
    token.close(keys.root)
    expect(refusal(() => token.cmac(keys.root, input))).toBe('token_failed')
    expect(() => token.cmac(keys.toMac, input)).not.toThrow()
  })
}

function recoveryTests(fixture: () => TokenFixture): void {
  it('opens the escrow copy of a root key with the recovery key', () => {
    const root = randomBytes(16)
    const { transport, transportKey } = openEnvelope(fixture())
    const imported = fixture().token.importRoot(transport, keyWrap(transportKey, root))
    expect(keyUnwrap(storageKey(fixture(), 'escrow'), imported.escrow)).toEqual(root)
    expect(keyUnwrap(storageKey(fixture(), 'rootUse'), imported.rootUse)).toEqual(root)
  })

  it('has four storage keys of 256 bits that differ', () => {
    const keys = (['rootUse', 'session', 'binding', 'escrow'] as const).map((name) => storageKey(fixture(), name))
    expect(keys.map((key) => key.length)).toEqual([32, 32, 32, 32])
    expect(new Set(keys.map((key) => key.toString('hex'))).size).toBe(4)
  })

  it('accepts its own check values', () => {
    expect(() => {
      fixture().token.verifyCheckValues(fixture().created.checkValues)
    }).not.toThrow()
  })

  it.each<keyof CheckValues>([
    'rootUseSentinel',
    'rootUseCmac',
    'sessionSentinel',
    'sessionCmac',
    'bindingCmac',
    'escrowOfSentinel',
  ])('refuses check values with another %s', (name) => {
    const { token, created } = fixture()
    const changed = { ...created.checkValues, [name]: flipBit(created.checkValues[name], 5) }
    const cut = { ...created.checkValues, [name]: created.checkValues[name].subarray(8) }
    for (const wrong of [changed, cut])
      expect(
        refusal(() => {
          token.verifyCheckValues(wrong)
        }),
      ).toBe('token_failed')
  })
}

async function reopeningTest(own: TokenFixture): Promise<void> {
  const { rootUse } = own.token.generateRoot()
  const kekBlob = importKek(own, randomBytes(16))
  const answers = (token: Token) => {
    const root = token.openRoot(rootUse)
    const key = token.derive(root, block('02'), 'wrap')
    return [token.tag(rootUse), token.cmac(root, kekBlob), token.wrap(token.openKek(kekBlob), key), token.sign(rootUse)]
  }
  const before = answers(own.token)
  own.token[Symbol.dispose]()
  expect(refusal(() => own.token.tag(rootUse))).toBe('token_failed')
  expect(refusal(() => own.token.openRoot(rootUse))).toBe('token_failed')
  using reopened = await own.reopen()
  reopened.verifyCheckValues(own.created.checkValues)
  expect(answers(reopened)).toEqual(before)
  const transport = reopened.openTransport(sealTransport(own.created.importPublicKey, Buffer.alloc(32, 7)))
  expect(reopened.importRoot(transport, keyWrap(Buffer.alloc(32, 7), randomBytes(16))).rootUse).toHaveLength(24)
}

function hex(text: string): Buffer {
  return Buffer.from(text, 'hex')
}

/** A derivation block: the parts in hex, then zeros. */
function block(...parts: string[]): Buffer {
  const result = Buffer.alloc(16)
  hex(parts.join('')).copy(result)
  return result
}

function derived(token: Token, root: TokenKey, input: Buffer): string {
  const key = token.derive(root, input, 'read')
  try {
    return token.read(key).toString('hex')
  } finally {
    token.close(key)
  }
}

function storageKey({ created, recoveryKey }: TokenFixture, name: keyof CreatedToken<unknown>['recovery']): Buffer {
  return keyUnwrap(recoveryKey, created.recovery[name])
}

function openEnvelope({ token, created }: TokenFixture): { transport: TokenKey; transportKey: Buffer } {
  const transportKey = randomBytes(32)
  return { transport: token.openTransport(sealTransport(created.importPublicKey, transportKey)), transportKey }
}

function importAndOpen(fixture: TokenFixture, root: Buffer): TokenKey {
  const { transport, transportKey } = openEnvelope(fixture)
  const { rootUse } = fixture.token.importRoot(transport, keyWrap(transportKey, root))
  fixture.token.close(transport)
  return fixture.token.openRoot(rootUse)
}

function importKek(fixture: TokenFixture, kek: Buffer): Buffer {
  const { transport, transportKey } = openEnvelope(fixture)
  return fixture.token.importKek(transport, keyWrap(transportKey, kek))
}

function importAndOpenKek(fixture: TokenFixture, kek: Buffer): TokenKey {
  return fixture.token.openKek(importKek(fixture, kek))
}

function storeAppSKey(token: Token): Buffer {
  return token.wrapForStorage(token.derive(token.openRoot(token.generateRoot().rootUse), block('02'), 'wrap'))
}

function openKeys(fixture: TokenFixture): Keys {
  const { token } = fixture
  const root = token.openRoot(token.generateRoot().rootUse)
  return {
    root,
    kek: importAndOpenKek(fixture, randomBytes(16)),
    transport: openEnvelope(fixture).transport,
    appSKey: token.openAppSKey(storeAppSKey(token)),
    toWrap: token.derive(root, block('02'), 'wrap'),
    toRead: token.derive(root, block('01'), 'read'),
    toMac: token.derive(root, block('06'), 'mac'),
    toDecrypt: token.derive(root, block('05'), 'decrypt'),
  }
}

function flipBit(bytes: Buffer, bit: number): Buffer {
  const flipped = Buffer.from(bytes)
  flipped.writeUInt8(bytes.readUInt8(bit >> 3) ^ (1 << (bit & 7)), bit >> 3)
  return flipped
}

/** The code with which the token refuses, or `undefined` if it does not. */
function refusal(act: () => unknown): HsmErrorCode | undefined {
  try {
    act()
    return undefined
  } catch (error) {
    if (error instanceof HsmError) return error.code
    throw error
  }
}
