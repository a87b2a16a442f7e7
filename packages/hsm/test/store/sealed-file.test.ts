import { randomBytes } from 'node:crypto'
import { inspect } from 'node:util'
import { describe, expect, it } from 'vitest'
import { HsmError, type HsmErrorCode } from '../../src/errors.ts'
import { openFile, type ScryptParameters, sealFile, SealingKey, type Unlock } from '../../src/store/sealed-file.ts'

const QUICK: ScryptParameters = { logN: 10, r: 8, p: 1 }
const OFFSET = { version: 8, kind: 9, logN: 10, r: 11, p: 12, salt: 13, iv: 29, ciphertext: 41 }
const passphrase = Buffer.from('correct horse battery staple')
const tokenKey = randomBytes(32)
const payload = Buffer.from('what is sealed')
const sealedByPassphrase = sealFile(SealingKey.fromPassphrase(passphrase, QUICK), payload)
const sealedByToken = sealFile(SealingKey.fromToken(tokenKey), payload)

describe('a sealed file', () => {
  it('gives the payload back with the passphrase that sealed it', () => {
    expect(openFile(sealedByPassphrase, { passphrase }).payload).toEqual(payload)
  })

  it('gives the payload back with the token key that sealed it', () => {
    expect(openFile(sealedByToken, { tokenKey }).payload).toEqual(payload)
  })

  it('has scrypt with N = 2^16, r = 8, p = 1 unless told otherwise', () => {
    const sealed = sealFile(SealingKey.fromPassphrase(passphrase), payload)
    expect([...sealed.subarray(0, OFFSET.salt)]).toEqual([...Buffer.from('MORTSEAL'), 1, 1, 16, 8, 1])
    expect(openFile(sealed, { passphrase }).payload).toEqual(payload)
  })

  it('can hold nothing', () => {
    const empty = sealFile(SealingKey.fromToken(tokenKey), Buffer.alloc(0))
    expect(openFile(empty, { tokenKey }).payload).toHaveLength(0)
  })

  it('is sealed again by the key that came with it, with the same salt and a fresh IV', () => {
    const { key } = openFile(sealedByPassphrase, { passphrase })
    const again = sealFile(key, Buffer.from('changed'))
    expect(again.subarray(0, OFFSET.iv)).toEqual(sealedByPassphrase.subarray(0, OFFSET.iv))
    expect(again.subarray(OFFSET.iv, OFFSET.ciphertext)).not.toEqual(
      sealedByPassphrase.subarray(OFFSET.iv, OFFSET.ciphertext),
    )
    expect(openFile(again, { passphrase }).payload.toString()).toBe('changed')
  })

  it('has a salt of its own for every passphrase key', () => {
    const other = sealFile(SealingKey.fromPassphrase(passphrase, QUICK), payload)
    expect(other.subarray(OFFSET.salt, OFFSET.iv)).not.toEqual(sealedByPassphrase.subarray(OFFSET.salt, OFFSET.iv))
  })

  it('refuses the wrong passphrase, and says that it cannot exclude a changed file', () => {
    const refused = refusal(sealedByPassphrase, { passphrase: Buffer.from('correct horse battery stapl') })
    expect(refused?.code).toBe('wrong_passphrase')
    expect(refused?.detail).toMatch(/or the file was changed/)
  })

  it.each<[string, Buffer, Unlock, Unlock]>([
    ['another token key', sealedByToken, { tokenKey: randomBytes(32) }, { tokenKey }],
    ['a passphrase for a token', sealedByToken, { passphrase }, { tokenKey }],
    ['a token key for a passphrase', sealedByPassphrase, { tokenKey }, { passphrase }],
  ])('refuses %s', (_name, sealed, wrong, right) => {
    expect(refusal(sealed, wrong)?.code).toBe('store_damaged')
    expect(refusal(sealed, right)).toBeUndefined()
  })

  it('refuses a token key that is not 32 bytes', () => {
    expect(() => SealingKey.fromToken(randomBytes(16))).toThrow('token_failed')
    expect(() => SealingKey.fromToken(randomBytes(32))).not.toThrow()
  })

  it('refuses every flipped bit of a file sealed by a token', () => {
    for (let bit = 0; bit < 8 * sealedByToken.length; bit++)
      expect(refusal(flipBit(sealedByToken, bit), { tokenKey })?.code).toBe('store_damaged')
    expect(refusal(sealedByToken, { tokenKey })).toBeUndefined()
  })

  it('refuses a flipped bit in every byte of a file sealed by a passphrase', () => {
    for (let byte = 0; byte < sealedByPassphrase.length; byte++)
      expect(REFUSALS).toContain(refusal(flipBit(sealedByPassphrase, 8 * byte + (byte % 8)), { passphrase })?.code)
    expect(refusal(sealedByPassphrase, { passphrase })).toBeUndefined()
  })

  it('refuses a file cut or lengthened anywhere', () => {
    for (const [sealed, unlock] of [
      [sealedByToken, { tokenKey }],
      [sealedByPassphrase, { passphrase }],
    ] as const) {
      for (let length = 0; length < sealed.length; length++)
        expect(REFUSALS).toContain(refusal(sealed.subarray(0, length), unlock)?.code)
      expect(REFUSALS).toContain(refusal(Buffer.concat([sealed, Buffer.of(0)]), unlock)?.code)
    }
  })

  it.each<[string, number, number]>([
    ['log2 N', OFFSET.logN, 11],
    ['r', OFFSET.r, 9],
    ['p', OFFSET.p, 2],
    ['salt', OFFSET.salt, 0x55],
  ])('refuses another %s than it was sealed with', (_name, offset, value) => {
    expect(refusal(changed(sealedByPassphrase, offset, value), { passphrase })?.code).toBe('wrong_passphrase')
  })

  it.each<[string, [number, number][]]>([
    ['N of 1', [[OFFSET.logN, 0]]],
    ['N of 512', [[OFFSET.logN, 9]]],
    ['N of 2^21', [[OFFSET.logN, 21]]],
    ['N of 2^255', [[OFFSET.logN, 255]]],
    ['r of 0', [[OFFSET.r, 0]]],
    ['r of 33', [[OFFSET.r, 33]]],
    ['p of 0', [[OFFSET.p, 0]]],
    ['p of 17', [[OFFSET.p, 17]]],
    ['512 MiB', [[OFFSET.logN, 19]]],
    [
      '1 GiB with a large r',
      [
        [OFFSET.logN, 18],
        [OFFSET.r, 32],
      ],
    ],
  ])('refuses scrypt with %s before it runs it', (_name, changes) => {
    const asked = changes.reduce((bytes, [offset, value]) => changed(bytes, offset, value), sealedByPassphrase)
    const refused = refusal(asked, { passphrase })
    expect(refused?.code).toBe('store_damaged')
    expect(refused?.detail).toBe('scrypt parameters out of range')
  })

  it('names a version and a sealing kind that it does not know', () => {
    expect(refusal(changed(sealedByToken, OFFSET.version, 2), { tokenKey })?.detail).toMatch(/format version 2/)
    expect(refusal(changed(sealedByToken, OFFSET.kind, 3), { tokenKey })?.detail).toMatch(/sealing kind 3/)
    expect(refusal(Buffer.from('{"some": "json"}'), { tokenKey })?.detail).toMatch(/not a sealed file/)
  })

  it('shows nothing of the key to whoever prints it', () => {
    const key = SealingKey.fromToken(tokenKey)
    const shown = inspect(key, { showHidden: true, depth: 10 }) + JSON.stringify({ key })
    for (const text of [tokenKey.toString('hex'), tokenKey.toString('base64'), tokenKey.join(',')])
      expect(shown).not.toContain(text)
    expect(JSON.stringify({ key })).toBe('{"key":"[secret]"}')
  })
})

const REFUSALS: (HsmErrorCode | undefined)[] = ['store_damaged', 'wrong_passphrase']

function refusal(bytes: Buffer, unlock: Unlock): HsmError | undefined {
  try {
    openFile(bytes, unlock)
    return undefined
  } catch (error) {
    if (error instanceof HsmError) return error
    throw error
  }
}

function changed(bytes: Buffer, offset: number, value: number): Buffer {
  const copy = Buffer.from(bytes)
  copy.writeUInt8(value, offset)
  return copy
}

function flipBit(bytes: Buffer, bit: number): Buffer {
  return changed(bytes, bit >> 3, bytes.readUInt8(bit >> 3) ^ (1 << (bit & 7)))
}
