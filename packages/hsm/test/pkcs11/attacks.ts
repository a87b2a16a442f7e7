import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { CKA, CKK, CKM, CKO } from '../../src/pkcs11/constants.ts'
import type { ObjectHandle } from '../../src/pkcs11/session.ts'
import { type Attributes, BlockDerivation, Mechanism, oaepSha1, Template } from '../../src/pkcs11/structures.ts'
import { CHECK_TEXT } from '../../src/token/token.ts'
import { aesBlock, aesCmac, aesDecrypt, keyUnwrap } from '../soft/crypto-oracle.ts'
import type { Attacker } from './attacker.ts'

/** What is attacked: storage keys with blobs under them, and the values that the test knows because it put them there. */
export interface Target {
  readonly attacker: Attacker
  readonly keys: Readonly<Record<'rootUse' | 'session' | 'escrow' | 'import' | 'receipt', ObjectHandle>>
  /** A root key under root-use and under escrow, and its value. */
  readonly root: { readonly value: Buffer; readonly rootUse: Buffer; readonly escrow: Buffer }
  /** An AppSKey under the session storage key, and its value. */
  readonly appSKey: { readonly value: Buffer; readonly blob: Buffer }
  /** The binding key under root-use, and its CMAC of CHECK_TEXT. */
  readonly binding: { readonly blob: Buffer; readonly cmac: Buffer }
  /** An envelope recorded on its way in, and the root key in it. */
  readonly envelope: { readonly transport: Buffer; readonly wrapped: Buffer; readonly value: Buffer }
  /** The template with which Mortise opens a root key, a binding key and a transport key from this target. */
  readonly opens: { readonly root: Attributes; readonly binding: Attributes; readonly transport: Attributes }
}

/** Throws Pkcs11Error when the token refuses; asserts that what was won is the real thing. */
export type Attack = (target: Target) => void

const AES_KEY_WRAP_PAD = 0x210a
const GENERIC_SECRET = 0x10
const DES2 = 0x14
const DES3_ECB = 0x132
const PRIVATE_EXPONENT = 0x123

const keyWrap = () => new Mechanism(CKM.AES_KEY_WRAP)
const ecb = () => new Mechanism(CKM.AES_ECB)
const cmac = () => new Mechanism(CKM.AES_CMAC)

const READABLE: Attributes = [
  [CKA.CLASS, CKO.SECRET_KEY],
  [CKA.KEY_TYPE, CKK.AES],
  [CKA.SENSITIVE, false],
  [CKA.EXTRACTABLE, true],
]
const WRAPPABLE: Attributes = [
  [CKA.CLASS, CKO.SECRET_KEY],
  [CKA.KEY_TYPE, CKK.AES],
  [CKA.SENSITIVE, true],
  [CKA.EXTRACTABLE, true],
]

function unwrap({ attacker }: Target, key: ObjectHandle, blob: Buffer, attributes: Attributes): ObjectHandle {
  return attacker.session.unwrap(keyWrap(), key, blob, new Template(attributes))
}

function openRoot(target: Target): ObjectHandle {
  return unwrap(target, target.keys.rootUse, target.root.rootUse, target.opens.root)
}

function openBinding(target: Target): ObjectHandle {
  return unwrap(target, target.keys.rootUse, target.binding.blob, target.opens.binding)
}

function openTransport({ attacker, keys, envelope, opens }: Target): ObjectHandle {
  return attacker.session.unwrap(oaepSha1(), keys.import, envelope.transport, new Template(opens.transport))
}

/** The attacker's own key, whose value it knows, to wrap others under. */
function ownKek({ attacker }: Target): [ObjectHandle, Buffer] {
  const value = randomBytes(32)
  const template = [...READABLE, [CKA.VALUE, value], [CKA.WRAP, true]] as const
  return [attacker.session.createObject(new Template(template)), value]
}

function wrapOut(target: Target, key: ObjectHandle): Buffer {
  const [kek, value] = ownKek(target)
  return keyUnwrap(value, target.attacker.session.wrap(keyWrap(), kek, key))
}

function derived(target: Target, key: ObjectHandle, block: Buffer): Buffer {
  const derivation = new BlockDerivation(CKM.AES_ECB_ENCRYPT_DATA)
  derivation.block.bytes.set(block)
  const { session } = target.attacker
  const template = new Template([...READABLE, [CKA.VALUE_LEN, 16]])
  return session.value(session.derive(derivation.mechanism, key, template))
}

/** RFC 3394 §2.2.2 undone with nothing but decryption of single blocks under the wrapping key. */
function unwrapByBlocks(decrypt: (block: Buffer) => Buffer, blob: Buffer): Buffer {
  const blocks = blob.length / 8 - 1
  const r = Array.from({ length: blocks }, (_, i) => Buffer.from(blob.subarray(8 * (i + 1), 8 * (i + 2))))
  let a = Buffer.from(blob.subarray(0, 8))
  for (let t = 6 * blocks; t > 0; t--) {
    const i = (t - 1) % blocks
    a.writeUInt8(a.readUInt8(7) ^ t, 7)
    const out = decrypt(Buffer.concat([a, r[i] ?? Buffer.alloc(0)]))
    a = Buffer.from(out.subarray(0, 8))
    r[i] = Buffer.from(out.subarray(8))
  }
  return Buffer.concat(r)
}

const CHANGES = {
  decrypt: [[CKA.DECRYPT, true]],
  encrypt: [[CKA.ENCRYPT, true]],
  sign: [[CKA.SIGN, true]],
  derive: [[CKA.DERIVE, true]],
  unwrap: [[CKA.UNWRAP, true]],
  extractable: [[CKA.EXTRACTABLE, true]],
} as const satisfies Record<string, Attributes>

/** The attacks that make sense on every one of the three storage keys. */
function onStorageKey(name: 'rootUse' | 'session' | 'escrow'): Record<string, Attack> {
  const label = name === 'rootUse' ? 'root-use' : name
  const changes = Object.entries(CHANGES).map(([change, attributes]): [string, Attack] => [
    `${label}: set ${change}`,
    ({ attacker, keys }) => {
      attacker.set(keys[name], attributes)
    },
  ])
  return {
    ...Object.fromEntries(changes),
    [`${label}: read value`]: ({ attacker, keys }) => {
      assert.equal(attacker.session.value(keys[name]).length, 32)
    },
    [`${label}: wrap under own key`]: (target) => {
      assert.equal(wrapOut(target, target.keys[name]).length, 32)
    },
    [`${label}: copy`]: ({ attacker, keys }) => {
      attacker.copy(keys[name], [[CKA.TOKEN, false]])
    },
    [`${label}: copy as modifiable`]: ({ attacker, keys }) => {
      attacker.copy(keys[name], [
        [CKA.TOKEN, false],
        [CKA.MODIFIABLE, true],
      ])
    },
    [`${label}: CMAC`]: ({ attacker, keys }) => {
      attacker.session.sign(cmac(), keys[name], CHECK_TEXT)
    },
    [`${label}: encrypt blocks`]: ({ attacker, keys }) => {
      attacker.encrypt(ecb(), keys[name], Buffer.alloc(16))
    },
    [`${label}: decrypt blocks`]: ({ attacker, keys }) => {
      attacker.session.decrypt(ecb(), keys[name], Buffer.alloc(16))
    },
    [`${label}: derive readable`]: (target) => {
      derived(target, target.keys[name], Buffer.alloc(16))
    },
  }
}

/** Every attack on the keys of one HSM by a process that has the PIN, by the name that the capability page uses. The last destroys. */
export const ATTACKS: Readonly<Record<string, Attack>> = {
  ...onStorageKey('rootUse'),
  'root-use: unwrap root key as readable': (target) => {
    const root = unwrap(target, target.keys.rootUse, target.root.rootUse, READABLE)
    assert.deepEqual(target.attacker.session.value(root), target.root.value)
  },
  'root-use: unwrap root key as wrappable': (target) => {
    const root = unwrap(target, target.keys.rootUse, target.root.rootUse, WRAPPABLE)
    assert.deepEqual(wrapOut(target, root), target.root.value)
  },
  'root-use: unwrap root key without naming secrecy': (target) => {
    const attributes: Attributes = [
      [CKA.CLASS, CKO.SECRET_KEY],
      [CKA.KEY_TYPE, CKK.AES],
    ]
    unwrap(target, target.keys.rootUse, target.root.rootUse, attributes)
  },
  'root-use: unwrap root key as generic secret, readable': (target) => {
    const attributes: Attributes = [[CKA.CLASS, CKO.SECRET_KEY], [CKA.KEY_TYPE, GENERIC_SECRET], ...READABLE.slice(2)]
    const root = unwrap(target, target.keys.rootUse, target.root.rootUse, attributes)
    assert.deepEqual(target.attacker.session.value(root), target.root.value)
  },
  'root-use: unwrap root key as DES2 key': (target) => {
    const attributes = target.opens.root.map(([type, value]) => [type, type === CKA.KEY_TYPE ? DES2 : value] as const)
    const root = unwrap(target, target.keys.rootUse, target.root.rootUse, attributes)
    target.attacker.session.decrypt(new Mechanism(DES3_ECB), root, Buffer.alloc(8))
  },
  'root-use: unwrap root key with ENCRYPT': (target) => {
    const attributes = target.opens.root.map(([type, value]) => [type, type === CKA.ENCRYPT ? true : value] as const)
    const root = unwrap(target, target.keys.rootUse, target.root.rootUse, attributes)
    target.attacker.encrypt(ecb(), root, Buffer.alloc(16))
  },
  'root-use: wrap with AES_KEY_WRAP_PAD': (target) => {
    const [own] = ownKek(target)
    target.attacker.session.wrap(new Mechanism(AES_KEY_WRAP_PAD), target.keys.rootUse, own)
  },
  'root-use: copy with DECRYPT, undo RFC 3394 block by block': ({ attacker, keys, root }) => {
    const copy = attacker.copy(keys.rootUse, [
      [CKA.TOKEN, false],
      [CKA.DECRYPT, true],
    ])
    const decrypt = (block: Buffer) => attacker.session.decrypt(ecb(), copy, block)
    assert.deepEqual(unwrapByBlocks(decrypt, root.rootUse), root.value)
  },

  'opened root: read value': (target) => {
    assert.deepEqual(target.attacker.session.value(openRoot(target)), target.root.value)
  },
  'opened root: wrap under own key': (target) => {
    assert.deepEqual(wrapOut(target, openRoot(target)), target.root.value)
  },
  'opened root: wrap under root-use again': (target) => {
    const { session } = target.attacker
    assert.deepEqual(session.wrap(keyWrap(), target.keys.rootUse, openRoot(target)), target.root.rootUse)
  },
  'opened root: set encrypt': (target) => {
    const root = openRoot(target)
    target.attacker.set(root, CHANGES.encrypt)
    target.attacker.encrypt(ecb(), root, Buffer.alloc(16))
  },
  'opened root: set extractable': (target) => {
    target.attacker.set(openRoot(target), CHANGES.extractable)
  },
  'opened root: copy with ENCRYPT': (target) => {
    const { attacker } = target
    const copy = attacker.copy(openRoot(target), CHANGES.encrypt)
    const block = randomBytes(16)
    assert.deepEqual(attacker.encrypt(ecb(), copy, block), aesBlock(target.root.value, block))
  },
  'opened root: copy as modifiable, then set encrypt': (target) => {
    const { attacker } = target
    const copy = attacker.copy(openRoot(target), [[CKA.MODIFIABLE, true]])
    attacker.set(copy, CHANGES.encrypt)
    attacker.encrypt(ecb(), copy, Buffer.alloc(16))
  },
  'opened root: copy as extractable': (target) => {
    assert.deepEqual(wrapOut(target, target.attacker.copy(openRoot(target), CHANGES.extractable)), target.root.value)
  },
  'opened root: derive session key as readable': (target) => {
    const block = randomBytes(16)
    assert.deepEqual(derived(target, openRoot(target), block), aesBlock(target.root.value, block))
  },
  'opened root: CMAC and decryption of any block': (target) => {
    const { session } = target.attacker
    const block = randomBytes(16)
    assert.deepEqual(session.sign(cmac(), openRoot(target), block), aesCmac(target.root.value, block))
    assert.deepEqual(session.decrypt(ecb(), openRoot(target), block), aesDecrypt(target.root.value, block))
  },

  ...onStorageKey('session'),
  'session: unwrap AppSKey as readable': (target) => {
    const appSKey = unwrap(target, target.keys.session, target.appSKey.blob, READABLE)
    assert.deepEqual(target.attacker.session.value(appSKey), target.appSKey.value)
  },
  'session: unwrap AppSKey and wrap under own key': (target) => {
    const appSKey = unwrap(target, target.keys.session, target.appSKey.blob, WRAPPABLE)
    assert.deepEqual(wrapOut(target, appSKey), target.appSKey.value)
  },

  ...onStorageKey('escrow'),
  'escrow: unwrap root key': (target) => {
    unwrap(target, target.keys.escrow, target.root.escrow, target.opens.root)
  },

  'binding: unwrap as readable': (target) => {
    const binding = unwrap(target, target.keys.rootUse, target.binding.blob, READABLE)
    assert.deepEqual(aesCmac(target.attacker.session.value(binding), CHECK_TEXT), target.binding.cmac)
  },
  'binding: wrap under own key': (target) => {
    assert.deepEqual(aesCmac(wrapOut(target, openBinding(target)), CHECK_TEXT), target.binding.cmac)
  },
  'binding: tag a record': (target) => {
    assert.deepEqual(target.attacker.session.sign(cmac(), openBinding(target), CHECK_TEXT), target.binding.cmac)
  },

  'import: read private exponent': ({ attacker, keys }) => {
    // Nearly as long as the modulus, without leading zeros.
    const { length } = attacker.session.attribute(keys.import, PRIVATE_EXPONENT)
    assert.ok(length > 370 && length <= 384)
  },
  'import: set decrypt': ({ attacker, keys }) => {
    attacker.set(keys.import, CHANGES.decrypt)
  },
  'import: decrypt transport key': ({ attacker, keys, envelope }) => {
    const transport = attacker.session.decrypt(oaepSha1(), keys.import, envelope.transport)
    assert.deepEqual(keyUnwrap(transport, envelope.wrapped), envelope.value)
  },
  'import: unwrap transport key as readable': ({ attacker, keys, envelope }) => {
    const transport = attacker.session.unwrap(oaepSha1(), keys.import, envelope.transport, new Template(READABLE))
    assert.deepEqual(keyUnwrap(attacker.session.value(transport), envelope.wrapped), envelope.value)
  },
  'import: wrap under own key': (target) => {
    const [kek] = ownKek(target)
    target.attacker.session.wrap(new Mechanism(AES_KEY_WRAP_PAD), kek, target.keys.import)
  },
  'import: root key of a recorded envelope as readable': (target) => {
    const root = unwrap(target, openTransport(target), target.envelope.wrapped, READABLE)
    assert.deepEqual(target.attacker.session.value(root), target.envelope.value)
  },

  'receipt: read private key': ({ attacker, keys }) => {
    attacker.session.value(keys.receipt)
  },
  'receipt: sign a head': ({ attacker, keys }) => {
    assert.equal(attacker.session.sign(new Mechanism(CKM.EDDSA), keys.receipt, CHECK_TEXT).length, 64)
  },
  "token: plant a root key of one's own": (target) => {
    const value = randomBytes(16)
    const { session } = target.attacker
    const planted = session.createObject(new Template([...READABLE, [CKA.VALUE, value]]))
    const blob = session.wrap(keyWrap(), target.keys.rootUse, planted)
    const opened = unwrap(target, target.keys.rootUse, blob, target.opens.root)
    assert.deepEqual(session.sign(cmac(), opened, CHECK_TEXT), aesCmac(value, CHECK_TEXT))
  },
  'token: destroy the root-use key': ({ attacker, keys }) => {
    attacker.session.destroy(keys.rootUse)
  },
}
