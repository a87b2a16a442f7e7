import { randomBytes } from 'node:crypto'
import { inspect } from 'node:util'
import { describe, expect, it } from 'vitest'
import { HsmError } from '../../src/errors.ts'
import { createSoftKeys } from '../../src/soft/create-keys.ts'
import { openSoftToken } from '../../src/soft/token.ts'
import { keyWrap, sealTransport } from './crypto-oracle.ts'

const recoveryKey = randomBytes(32)
const created = createSoftKeys({ recoveryKey })

describe('soft token', () => {
  it('shows nothing of a key to whoever prints the token or a handle', () => {
    using token = openSoftToken(created.settings)
    const root = token.openRoot(token.generateRoot().rootUse)
    const key = token.derive(root, Buffer.alloc(16), 'read')
    const shown = inspect([token, root, key], { showHidden: true, depth: 10 }) + JSON.stringify([token, root, key])
    const bytes = token.read(key)
    for (const secret of [bytes, created.settings.binding, created.settings.rootUse])
      for (const text of printedForms(secret)) expect(shown).not.toContain(text)
    // The same search finds the key in what shows it.
    expect(printedForms(bytes).some((text) => inspect({ bytes }).includes(text))).toBe(true)
  })

  it('keeps its own copy of the settings', () => {
    const settings = { ...created.settings, binding: Buffer.from(created.settings.binding) }
    using token = openSoftToken(settings)
    const before = token.tag(Buffer.of(1))
    settings.binding.fill(0)
    expect(token.tag(Buffer.of(1))).toEqual(before)
  })

  it('gives out keys that stay what they are when the caller closes their parent', () => {
    using token = openSoftToken(created.settings)
    const root = token.openRoot(token.generateRoot().rootUse)
    const key = token.derive(root, Buffer.alloc(16), 'read')
    const before = token.read(key)
    token.close(root)
    expect(token.read(key)).toEqual(before)
  })

  it('leaves a root key as it is when a key derived from it is closed', () => {
    using token = openSoftToken(created.settings)
    const root = token.openRoot(token.generateRoot().rootUse)
    const before = token.cmac(root, Buffer.of(1))
    token.close(token.derive(root, Buffer.alloc(16), 'wrap'))
    expect(token.cmac(root, Buffer.of(1))).toEqual(before)
  })

  it('refuses an envelope around a transport key that is not AES-256', () => {
    using token = openSoftToken(created.settings)
    const seal = (size: number) => sealTransport(created.importPublicKey, randomBytes(size))
    expect(() => token.openTransport(seal(16))).toThrow(new HsmError('envelope_damaged', 'input size'))
    expect(() => token.openTransport(seal(32))).not.toThrow()
  })
})

describe('createSoftKeys', () => {
  it('makes the same storage keys from the recovery blobs, with key pairs and sentinels of their own', () => {
    const restored = createSoftKeys({ recoveryKey, from: created.recovery })
    expect(restored.recovery).toEqual(created.recovery)
    expect(restored.importPublicKey).not.toEqual(created.importPublicKey)
    expect(restored.receiptPublicKey).not.toEqual(created.receiptPublicKey)
    using first = openSoftToken(created.settings)
    using second = openSoftToken(restored.settings)
    first.verifyCheckValues(restored.checkValues)
    second.verifyCheckValues(created.checkValues)
    const { rootUse } = first.generateRoot()
    expect(second.cmac(second.openRoot(rootUse), Buffer.of(1))).toEqual(
      first.cmac(first.openRoot(rootUse), Buffer.of(1)),
    )
    expect(second.tag(rootUse)).toEqual(first.tag(rootUse))
  })

  it('makes keys that another HSM does not accept', () => {
    using other = openSoftToken(createSoftKeys({ recoveryKey }).settings)
    expect(() => {
      other.verifyCheckValues(created.checkValues)
    }).toThrow('token_failed')
  })

  it('refuses another recovery key, a damaged blob and a blob of another size, and names it', () => {
    const from = created.recovery
    const damaged = Buffer.from(from.session)
    damaged.writeUInt8(damaged.readUInt8(3) ^ 1, 3)
    const short = keyWrap(recoveryKey, randomBytes(16))
    expect(() => createSoftKeys({ recoveryKey: randomBytes(32), from })).toThrow('recovery copy of rootUse')
    expect(() => createSoftKeys({ recoveryKey, from: { ...from, session: damaged } })).toThrow(
      'recovery copy of session',
    )
    expect(() => createSoftKeys({ recoveryKey, from: { ...from, escrow: short } })).toThrow('recovery copy of escrow')
    expect(() => createSoftKeys({ recoveryKey, from })).not.toThrow()
  })

  it('refuses a recovery key that is not 32 bytes', () => {
    expect(() => createSoftKeys({ recoveryKey: randomBytes(16) })).toThrow('token_failed')
  })
})

/** Hex, base64, and as Node prints a Buffer. */
function printedForms(bytes: Buffer): string[] {
  const hex = bytes.toString('hex')
  return [hex, bytes.toString('base64'), hex.replaceAll(/..(?!$)/g, '$& ')]
}
