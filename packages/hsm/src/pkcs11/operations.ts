import { timingSafeEqual } from 'node:crypto'
import { HsmError } from '../errors.ts'
import { CHECK_TEXT, type CheckValues, type WrappedRoot } from '../token/token.ts'
import { CKA, CKM } from './constants.ts'
import { generatedKey, passingKey, readableKey } from './key-templates.ts'
import { Pkcs11Error } from './pkcs11-error.ts'
import type { ObjectHandle, Pkcs11Session } from './session.ts'
import { Mechanism } from './structures.ts'
import type { TokenObjects } from './token-objects.ts'

/** Mechanisms without a parameter can be shared by every session. */
export function plainMechanisms() {
  return {
    keyWrap: new Mechanism(CKM.AES_KEY_WRAP),
    cmac: new Mechanism(CKM.AES_CMAC),
    ecb: new Mechanism(CKM.AES_ECB),
    generateAes: new Mechanism(CKM.AES_KEY_GEN),
    eddsa: new Mechanism(CKM.EDDSA),
  }
}

export type PlainMechanisms = ReturnType<typeof plainMechanisms>

/** A session with the keys and mechanisms that both making and checking the storage keys need. */
export interface OpenStorage {
  readonly session: Pkcs11Session
  readonly objects: TokenObjects
  readonly binding: ObjectHandle
  readonly mechanisms: PlainMechanisms
}

/** Runs `use` with a session object and destroys it afterwards, also when `use` throws. */
export function withObject<T>(session: Pkcs11Session, object: ObjectHandle, use: (object: ObjectHandle) => T): T {
  try {
    return use(object)
  } finally {
    session.destroy(object)
  }
}

/** Both forms in which a root key is kept. */
export function wrapRoot({ session, objects, mechanisms }: OpenStorage, root: ObjectHandle): WrappedRoot {
  return {
    rootUse: session.wrap(mechanisms.keyWrap, objects.rootUse, root),
    escrow: session.wrap(mechanisms.keyWrap, objects.escrow, root),
  }
}

/** Makes the sentinels and records what the storage keys answer. */
export function computeCheckValues(storage: OpenStorage): CheckValues {
  const { session, objects, binding, mechanisms } = storage
  const sentinel = () => session.generateKey(mechanisms.generateAes, generatedKey(16, CKA.SIGN))
  const cmac = (key: ObjectHandle) => session.sign(mechanisms.cmac, key, CHECK_TEXT)
  const wrap = (kek: ObjectHandle, key: ObjectHandle) => session.wrap(mechanisms.keyWrap, kek, key)
  return {
    ...withObject(session, sentinel(), (key) => ({
      rootUseSentinel: wrap(objects.rootUse, key),
      rootUseCmac: cmac(key),
    })),
    ...withObject(session, sentinel(), (key) => ({
      sessionSentinel: wrap(objects.session, key),
      sessionCmac: cmac(key),
      escrowOfSentinel: wrap(objects.escrow, key),
    })),
    bindingCmac: cmac(binding),
  }
}

/**
 * Known-answer test of the storage keys. A token that was taken away still finds nothing without an error, so this is
 * also the health check.
 * @throws HsmError token_failed, naming the first key that answers differently
 */
export function verifyCheckValues(
  storage: OpenStorage,
  openRoot: (blob: Buffer) => ObjectHandle,
  expected: CheckValues,
) {
  const { session, objects, binding, mechanisms } = storage
  const cmac = (key: ObjectHandle) => session.sign(mechanisms.cmac, key, CHECK_TEXT)
  const ofRootUse = openOrFail('root-use', 'its check value', () => openRoot(expected.rootUseSentinel))
  withObject(session, ofRootUse, (key) => {
    expectSame('root-use', cmac(key), expected.rootUseCmac)
  })
  const ofSession = openOrFail('session', 'its check value', () =>
    session.unwrap(mechanisms.keyWrap, objects.session, expected.sessionSentinel, passingKey(CKA.SIGN)),
  )
  withObject(session, ofSession, (key) => {
    expectSame('session', cmac(key), expected.sessionCmac)
    expectSame('escrow', session.wrap(mechanisms.keyWrap, objects.escrow, key), expected.escrowOfSentinel)
  })
  expectSame('binding', cmac(binding), expected.bindingCmac)
}

/**
 * Tries to unwrap `blob` (under `rootUse`) as a readable key. Some tokens take an UNWRAP_TEMPLATE and then ignore it;
 * there the PIN would give every root key in clear.
 * @throws HsmError token_failed when the token lets it happen
 */
export function requireHardened(
  { session, mechanisms }: Pick<OpenStorage, 'session' | 'mechanisms'>,
  rootUse: ObjectHandle,
  blob: Buffer,
): void {
  let readable: ObjectHandle
  try {
    readable = session.unwrap(mechanisms.keyWrap, rootUse, blob, readableKey())
  } catch (refusal) {
    if (refusal instanceof Pkcs11Error) return
    throw refusal
  }
  session.destroy(readable)
  throw new HsmError(
    'token_failed',
    `token "${session.slot.label}" does not enforce CKA_UNWRAP_TEMPLATE: root keys could be read with the PIN. ` +
      'Use another token or the soft HSM',
  )
}

/** A storage key that does not open what was wrapped under it is not the one that was made, or the token is broken. */
export function openOrFail(name: string, what: string, open: () => ObjectHandle): ObjectHandle {
  try {
    return open()
  } catch (cause) {
    throw new HsmError('token_failed', `the ${name} key of the token does not open ${what}`, { cause })
  }
}

function expectSame(name: string, actual: Buffer, expected: Buffer): void {
  if (actual.length !== expected.length || !timingSafeEqual(actual, expected)) {
    throw new HsmError('token_failed', `the ${name} key of the token is not the one that was made for this HSM`)
  }
}
