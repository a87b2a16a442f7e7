import { execFileSync } from 'node:child_process'
import { readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { CKM } from '../../src/pkcs11/constants.ts'
import { loadPkcs11Library } from '../../src/pkcs11/library.ts'
import { probeMechanisms, probeToken } from '../../src/pkcs11/probe.ts'
import { openPkcs11Token } from '../../src/pkcs11/token.ts'
import { makeHsm } from './hsm.ts'
import { refusal } from './refusal.ts'
import { createSoftHsm, pin, PIN_TEXT, TOKEN_LABEL } from './softhsm.ts'

const softHsm = createSoftHsm()
afterAll(() => {
  softHsm.remove()
})

describe('settings that are wrong', () => {
  const { settings } = makeHsm(softHsm, 'settings').created

  it.each([
    ['a module that does not exist', { module: '/usr/lib/softhsm/none.so' }, 'does not exist: install it'],
    ['a module without a path', { module: 'libsofthsm2.so' }, 'give its absolute path'],
    ['a module that is no library', { module: '/etc/hostname' }, 'is not a PKCS #11 module'],
    ['a library that is no PKCS #11 module', { module: process.execPath }, 'is not a PKCS #11 module'],
    [
      'a token label that is not there',
      { tokenLabel: 'elsewhere' },
      `has no token labelled "elsewhere"; it has "${TOKEN_LABEL}"`,
    ],
    ['an object prefix that is not there', { objectPrefix: 'other' }, 'no key labelled "other-root-use"'],
    ['a binding blob of another HSM', { bindingBlob: Buffer.alloc(40) }, 'does not open the binding key'],
  ])('%s: says so', (_name, wrong, detail) => {
    const refused = refusal(() => openPkcs11Token({ ...settings, ...wrong }, pin()))
    expect(refused.code).toBe('token_failed')
    expect(refused.detail).toContain(detail)
    expect(() => {
      openPkcs11Token(settings, pin())[Symbol.dispose]()
    }).not.toThrow()
  })

  it.each([
    ['wrong', '00000000', 'the PIN is wrong'],
    ['too short', '1', 'the PIN is'],
    ['empty', '', 'the PIN is'],
  ])('a PIN that is %s: says so without showing it', (_name, wrong, detail) => {
    const refused = refusal(() => openPkcs11Token(settings, Buffer.from(wrong)))
    expect(refused.code).toBe('token_failed')
    expect(refused.detail).toContain(detail)
    if (wrong.length > 1) expect(`${refused.message} ${String(refused.stack)}`).not.toContain(wrong)
    expect(refused.message).not.toContain(PIN_TEXT)
    expect(() => {
      openPkcs11Token(settings, pin())[Symbol.dispose]()
    }).not.toThrow()
  })

  it('two tokens of one label: refuses to choose', () => {
    softHsm.addToken('same')
    expect(probeToken(softHsm.module, 'same').profile).toBe('in-token')
    softHsm.addToken('same')
    expect(refusal(() => probeToken(softHsm.module, 'same')).detail).toContain('2 tokens labelled "same"')
  })

  it('no koffi: says how to install it', () => {
    const library = new URL('../../src/pkcs11/library.ts', import.meta.url).href
    const script = `
      import { registerHooks } from 'node:module'
      const resolve = (name, context, next) => {
        if (name === 'koffi') throw new Error('not installed')
        return next(name, context)
      }
      if (process.argv[1] === 'without') registerHooks({ resolve })
      const { loadPkcs11Library } = await import('${library}')
      try { loadPkcs11Library('${softHsm.module}'); console.log('loaded') } catch (error) { console.log(error.message) }`
    const run = (how: string) =>
      execFileSync(process.execPath, ['--input-type=module', '-e', script, how], { encoding: 'utf8' })
    expect(run('with').trim()).toBe('loaded')
    expect(run('without')).toContain('needs the optional package koffi: install it')
  })
})

describe('the probe', () => {
  const library = loadPkcs11Library(softHsm.module)
  library.retain()
  const listed = library.mechanisms(library.slots()[0]!.id)
  library.release()

  it('finds that SoftHSM2 serves joins in the token, deriving by CKM_AES_ECB_ENCRYPT_DATA', () => {
    expect(probeToken(softHsm.module, TOKEN_LABEL)).toEqual({
      profile: 'in-token',
      derivation: CKM.AES_ECB_ENCRYPT_DATA,
    })
  })

  it('falls back to CKM_AES_CBC_ENCRYPT_DATA', () => {
    const without = new Set([...listed].filter((type) => type !== CKM.AES_ECB_ENCRYPT_DATA))
    expect(probeMechanisms(without)).toEqual({ profile: 'in-token', derivation: CKM.AES_CBC_ENCRYPT_DATA })
  })

  it('names every mechanism that is missing', () => {
    const without = new Set([...listed].filter((type) => type !== CKM.AES_CMAC && type !== CKM.EDDSA))
    expect(probeMechanisms(without)).toEqual({ profile: 'unsupported', missing: ['CKM_AES_CMAC', 'CKM_EDDSA'] })
    const derivations: readonly number[] = [CKM.AES_ECB_ENCRYPT_DATA, CKM.AES_CBC_ENCRYPT_DATA]
    expect(probeMechanisms(new Set([...listed].filter((type) => !derivations.includes(type))))).toEqual({
      profile: 'unsupported',
      missing: ['CKM_AES_ECB_ENCRYPT_DATA or CKM_AES_CBC_ENCRYPT_DATA'],
    })
  })
})

describe('a token that is taken away while it is open', () => {
  it('says token_failed of good and of damaged blobs alike, and fails its check values', () => {
    const tokens = join(softHsm.directory, 'tokens')
    const before = new Set(readdirSync(tokens))
    softHsm.addToken('doomed')
    const [directory] = readdirSync(tokens).filter((name) => !before.has(name))
    const { created } = makeHsm(softHsm, 'doomed', { tokenLabel: 'doomed' })
    using token = openPkcs11Token(created.settings, pin())
    const { rootUse } = token.generateRoot()
    const damaged = Buffer.alloc(24, 1)
    expect(refusal(() => token.openRoot(damaged)).code).toBe('key_blob_damaged')
    token.verifyCheckValues(created.checkValues)

    rmSync(join(tokens, directory!), { recursive: true })
    expect(refusal(() => token.openRoot(rootUse)).code).toBe('token_failed')
    expect(refusal(() => token.openRoot(damaged)).code).toBe('token_failed')
    expect(
      refusal(() => {
        token.verifyCheckValues(created.checkValues)
      }).code,
    ).toBe('token_failed')
  })
})
