import { constants, createPublicKey, publicEncrypt, randomBytes } from 'node:crypto'
import { afterAll, describe, expect, it } from 'vitest'
import { CKA, CKM, CKZ_DATA_SPECIFIED } from '../../src/pkcs11/constants.ts'
import { generatedKey, hotTemplates } from '../../src/pkcs11/key-templates.ts'
import { NativeMemory } from '../../src/pkcs11/native-memory.ts'
import { plainMechanisms } from '../../src/pkcs11/operations.ts'
import { closePkcs11Session, openPkcs11Session } from '../../src/pkcs11/session.ts'
import { Mechanism, oaepSha1 } from '../../src/pkcs11/structures.ts'
import { findTokenObjects } from '../../src/pkcs11/token-objects.ts'
import { openPkcs11Token } from '../../src/pkcs11/token.ts'
import { keyWrap, sealTransport } from '../soft/crypto-oracle.ts'
import { makeHsm } from './hsm.ts'
import { refusal } from './refusal.ts'
import { createSoftHsm, pin, TOKEN_LABEL } from './softhsm.ts'

/** What capabilities/softhsm2.md says of this token and the code is written around. */
const softHsm = createSoftHsm()
const { created } = makeHsm(softHsm, 'facts')
afterAll(() => {
  softHsm.remove()
})

describe('SoftHSM2', () => {
  it('does RSA-OAEP with SHA-1, and with SHA-256 not', () => {
    const session = openPkcs11Session(softHsm.module, TOKEN_LABEL, pin())
    try {
      const key = findTokenObjects(session, 'facts').import
      const { transport } = hotTemplates()
      const sealed = (oaepHash: string) => {
        const publicKey = createPublicKey({ key: created.importPublicKey, format: 'der', type: 'spki' })
        return publicEncrypt({ key: publicKey, padding: constants.RSA_PKCS1_OAEP_PADDING, oaepHash }, randomBytes(32))
      }
      const [ckmSha256, mgf1Sha256] = [0x250, 2]
      const parameters = NativeMemory.ofWords([ckmSha256, mgf1Sha256, CKZ_DATA_SPECIFIED, 0, 0])
      const oaepSha256 = new Mechanism(CKM.RSA_PKCS_OAEP, parameters)
      const refused = refusal(() => session.unwrap(oaepSha256, key, sealed('sha256'), transport))
      expect(refused.detail).toContain('CKR_ARGUMENTS_BAD')
      expect(session.unwrap(oaepSha1(), key, sealed('sha1'), transport)).toBeGreaterThan(0n)
    } finally {
      closePkcs11Session(session)
    }
  })

  it('leaves an operation active after a call without data, which the token above it does not make', () => {
    const session = openPkcs11Session(softHsm.module, TOKEN_LABEL, pin())
    try {
      const { cmac, generateAes } = plainMechanisms()
      const key = session.generateKey(generateAes, generatedKey(16, CKA.SIGN))
      expect(session.sign(cmac, key, Buffer.of(1))).toHaveLength(16)
      expect(refusal(() => session.sign(cmac, key, Buffer.alloc(0))).detail).toContain('CKR_ARGUMENTS_BAD')
      expect(refusal(() => session.sign(cmac, key, Buffer.of(1))).detail).toContain('CKR_OPERATION_ACTIVE')
    } finally {
      closePkcs11Session(session)
    }
    using token = openPkcs11Token(created.settings, pin())
    expect(refusal(() => token.sign(Buffer.alloc(0))).code).toBe('token_failed')
    expect(token.sign(Buffer.of(1))).toHaveLength(64)
  })

  it.each([0, 1, 15, 33, 64])('does not import under a transport key of %i bytes', (size) => {
    expect(refusal(() => importUnder(size)).code).toBe('envelope_damaged')
    expect(importUnder(32)).toHaveLength(24)
  })

  // Nothing outside the token can tell these from 32 bytes; the capability page says so.
  it.each([16, 24, 32])('imports under a transport key of %i bytes', (size) => {
    expect(importUnder(size)).toHaveLength(24)
  })
})

function importUnder(size: number): Buffer {
  using token = openPkcs11Token(created.settings, pin())
  const transportKey = randomBytes(size)
  const transport = token.openTransport(sealTransport(created.importPublicKey, transportKey))
  const usable = [16, 24, 32].includes(size)
  return token.importRoot(transport, usable ? keyWrap(transportKey, randomBytes(16)) : randomBytes(24)).rootUse
}
