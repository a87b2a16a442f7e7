import { randomBytes } from 'node:crypto'
import { afterAll, describe, expect, it } from 'vitest'
import { CKA, CKM } from '../../src/pkcs11/constants.ts'
import { requireHardened, plainMechanisms } from '../../src/pkcs11/operations.ts'
import { closePkcs11Session, openPkcs11Session, type Pkcs11Session } from '../../src/pkcs11/session.ts'
import { BlockDerivation, Template } from '../../src/pkcs11/structures.ts'
import { findTokenObjects, labelsInUse, objectLabel } from '../../src/pkcs11/token-objects.ts'
import { generatedKey, passingKey, sessionStorageKey } from '../../src/pkcs11/key-templates.ts'
import { openPkcs11Token } from '../../src/pkcs11/token.ts'
import { aesBlock, aesCmac, keyUnwrap, keyWrap } from '../soft/crypto-oracle.ts'
import { makeHsm } from './hsm.ts'
import { refusal } from './refusal.ts'
import { createSoftHsm, pin, TOKEN_LABEL } from './softhsm.ts'

const softHsm = createSoftHsm()
afterAll(() => {
  softHsm.remove()
})

function withSession<T>(use: (session: Pkcs11Session) => T, tokenLabel = TOKEN_LABEL): T {
  const session = openPkcs11Session(softHsm.module, tokenLabel, pin())
  try {
    return use(session)
  } finally {
    closePkcs11Session(session)
  }
}

describe('createPkcs11Keys', () => {
  it('leaves five labelled keys, sensitive and not extractable, and no session object', () => {
    makeHsm(softHsm, 'five')
    withSession((session) => {
      expect(labelsInUse(session, 'five').toSorted()).toEqual(
        ['escrow', 'import', 'receipt', 'root-use', 'session'].map((name) => `five-${name}`),
      )
      for (const key of Object.values(findTokenObjects(session, 'five'))) {
        const flags = [CKA.PRIVATE, CKA.SENSITIVE, CKA.EXTRACTABLE, CKA.MODIFIABLE, CKA.COPYABLE]
        expect(flags.map((flag) => session.attribute(key, flag)[0])).toEqual([1, 1, 0, 0, 0])
      }
      expect(session.find([[CKA.TOKEN, false]])).toEqual([])
    })
  })

  it('refuses labels that are in use, and takes a prefix that only begins alike', () => {
    makeHsm(softHsm, 'twice')
    const refused = refusal(() => makeHsm(softHsm, 'twice'))
    expect(refused.code).toBe('token_failed')
    expect(refused.detail).toContain('twice-root-use')
    expect(() => makeHsm(softHsm, 'twice-2nd')).not.toThrow()
    expect(() => makeHsm(softHsm, 'twi')).not.toThrow()
  })

  it('takes over the storage keys of another HSM: blobs and tags are the same, key pairs are new', () => {
    softHsm.addToken('second')
    const first = makeHsm(softHsm, 'site')
    const { recovery } = first.created
    const second = makeHsm(softHsm, 'site', { tokenLabel: 'second', recoveryKey: first.recoveryKey, from: recovery })
    using primary = openPkcs11Token(first.created.settings, pin())
    using replica = openPkcs11Token(second.created.settings, pin())
    const { rootUse } = primary.generateRoot()
    const message = randomBytes(50)
    expect(replica.cmac(replica.openRoot(rootUse), message)).toEqual(primary.cmac(primary.openRoot(rootUse), message))
    expect(replica.tag(message)).toEqual(primary.tag(message))
    replica.verifyCheckValues(first.created.checkValues)
    expect(second.created.recovery).toEqual(recovery)
    expect(second.created.importPublicKey).not.toEqual(first.created.importPublicKey)
    expect(second.created.receiptPublicKey).not.toEqual(first.created.receiptPublicKey)
  })

  it('re-wraps what escrow holds, opened with the recovery key, to the identical root-use blob', () => {
    const { created, recoveryKey } = makeHsm(softHsm, 'escrow')
    using token = openPkcs11Token(created.settings, pin())
    const { rootUse, escrow } = token.generateRoot()
    const root = keyUnwrap(keyUnwrap(recoveryKey, created.recovery.escrow), escrow)
    expect(keyWrap(keyUnwrap(recoveryKey, created.recovery.rootUse), root)).toEqual(rootUse)
    expect(token.cmac(token.openRoot(rootUse), root)).toEqual(aesCmac(root, root))
  })

  it.each(['rootUse', 'session', 'binding', 'escrow'] as const)(
    'refuses a damaged recovery copy of %s and leaves nothing behind',
    (name) => {
      const { created, recoveryKey } = makeHsm(softHsm, `origin-${name}`)
      const damaged = Buffer.from(created.recovery[name])
      damaged.writeUInt8(damaged.readUInt8(20) ^ 1, 20)
      const objectPrefix = `restored-${name}`
      for (const blob of [damaged, damaged.subarray(8)]) {
        const from = { ...created.recovery, [name]: blob }
        const refused = refusal(() => makeHsm(softHsm, objectPrefix, { recoveryKey, from }))
        expect(refused.code).toBe('key_blob_damaged')
        expect(refused.detail).toContain(name)
        expect(withSession((session) => labelsInUse(session, objectPrefix))).toEqual([])
      }
      expect(() => makeHsm(softHsm, objectPrefix, { recoveryKey, from: created.recovery })).not.toThrow()
    },
  )

  it('refuses recovery copies under another recovery key, and a recovery key of another size', () => {
    const { created, recoveryKey } = makeHsm(softHsm, 'owner')
    const from = created.recovery
    expect(refusal(() => makeHsm(softHsm, 'thief', { recoveryKey: randomBytes(32), from })).code).toBe(
      'key_blob_damaged',
    )
    expect(refusal(() => makeHsm(softHsm, 'thief', { recoveryKey: randomBytes(16) })).code).toBe('token_failed')
    expect(() => makeHsm(softHsm, 'thief', { recoveryKey, from })).not.toThrow()
  })

  it('refuses a token that opens root keys as readable', () => {
    makeHsm(softHsm, 'hardened')
    withSession((session) => {
      const mechanisms = plainMechanisms()
      const { rootUse } = findTokenObjects(session, 'hardened')
      const ordinary = session.generateKey(mechanisms.generateAes, generatedKey(32, CKA.WRAP, CKA.UNWRAP))
      const victim = session.generateKey(mechanisms.generateAes, generatedKey(16))
      const check = (key: bigint) => () => {
        requireHardened({ session, mechanisms }, key, session.wrap(mechanisms.keyWrap, key, victim))
      }
      expect(refusal(check(ordinary)).detail).toContain('CKA_UNWRAP_TEMPLATE')
      expect(check(rootUse)).not.toThrow()
    })
  })
})

describe('a token that somebody else with the PIN changed', () => {
  it('is refused when there are two keys of one label', () => {
    const { created } = makeHsm(softHsm, 'doubled')
    expect(() => {
      openPkcs11Token(created.settings, pin())[Symbol.dispose]()
    }).not.toThrow()
    withSession((session) => plant(session, objectLabel('doubled', 'session')))
    expect(refusal(() => openPkcs11Token(created.settings, pin())).detail).toContain('"doubled-session"')
  })

  it('is refused when a key is missing', () => {
    const { created } = makeHsm(softHsm, 'lost')
    withSession((session) => {
      session.destroy(findTokenObjects(session, 'lost').receipt)
    })
    expect(refusal(() => openPkcs11Token(created.settings, pin())).detail).toContain('"lost-receipt"')
  })

  it('fails its check values when the session key was replaced, and does not open when root-use was', () => {
    const { created } = makeHsm(softHsm, 'replaced')
    const verify = () => {
      using token = openPkcs11Token(created.settings, pin())
      token.verifyCheckValues(created.checkValues)
    }
    expect(verify).not.toThrow()
    replace('replaced', 'session')
    expect(refusal(verify).detail).toContain('session key')
    replace('replaced', 'rootUse')
    expect(refusal(verify).detail).toContain('root-use key of the token does not open the binding key')
  })

  function replace(objectPrefix: string, name: 'session' | 'rootUse'): void {
    withSession((session) => {
      session.destroy(findTokenObjects(session, objectPrefix)[name])
      plant(session, objectLabel(objectPrefix, name))
    })
  }

  /** A key of somebody else, in the form that the storage keys have. */
  function plant(session: Pkcs11Session, label: string): void {
    const { keyWrap: mechanism, generateAes } = plainMechanisms()
    const kek = session.generateKey(generateAes, generatedKey(32, CKA.WRAP, CKA.UNWRAP))
    const foreign = session.wrap(mechanism, kek, session.generateKey(generateAes, generatedKey(32)))
    session.unwrap(mechanism, kek, foreign, sessionStorageKey(label))
  }
})

describe('derivation', () => {
  it.each([CKM.AES_ECB_ENCRYPT_DATA, CKM.AES_CBC_ENCRYPT_DATA])('by mechanism 0x%s is AES of the block', (type) => {
    withSession((session) => {
      const { keyWrap: mechanism } = plainMechanisms()
      const kekValue = randomBytes(32)
      const [rootValue, block] = [randomBytes(16), randomBytes(16)]
      const kek = session.createObject(
        new Template([
          [CKA.CLASS, 4],
          [CKA.KEY_TYPE, 0x1f],
          [CKA.UNWRAP, true],
          [CKA.WRAP, true],
          [CKA.VALUE, kekValue],
        ]),
      )
      const root = session.unwrap(mechanism, kek, keyWrap(kekValue, rootValue), passingKey(CKA.DERIVE))
      const derivation = new BlockDerivation(type)
      derivation.block.bytes.set(block)
      const derived = session.derive(derivation.mechanism, root, generatedKey(16))
      expect(session.wrap(mechanism, kek, derived)).toEqual(keyWrap(kekValue, aesBlock(rootValue, block)))
    })
  })
})
