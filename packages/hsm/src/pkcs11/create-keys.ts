import { createPublicKey } from 'node:crypto'
import { HsmError } from '../errors.ts'
import { type Pkcs11Settings, RECOVERY_KEY_BYTES } from '../token/settings.ts'
import type { CreatedToken, RecoveryBlobs } from '../token/token.ts'
import { CKA, CKM } from './constants.ts'
import {
  escrowKey,
  generatedKey,
  hotTemplates,
  importKeyPair,
  passingKey,
  receiptKeyPair,
  recoveryKey,
  rootUseKey,
  sessionStorageKey,
} from './key-templates.ts'
import { computeCheckValues, requireHardened, plainMechanisms, type PlainMechanisms, withObject } from './operations.ts'
import { Pkcs11Error } from './pkcs11-error.ts'
import { requireInToken } from './probe.ts'
import { closePkcs11Session, type ObjectHandle, openPkcs11Session, type Pkcs11Session } from './session.ts'
import { Mechanism, type Template } from './structures.ts'
import { labelsInUse, objectLabel, type TokenObjects } from './token-objects.ts'

export interface CreatePkcs11KeysOptions {
  /** Absolute path of the PKCS #11 library. */
  readonly module: string
  readonly tokenLabel: string
  /** What the labels of the new objects begin with; no object of the token may have it yet. */
  readonly objectPrefix: string
  /** User PIN; the caller wipes it. */
  readonly pin: Buffer
  /** 32 bytes; the caller wipes it. */
  readonly recoveryKey: Buffer
  /** Storage keys of another HSM, to be taken over (second HSM, restore). Without it they are made. */
  readonly from?: RecoveryBlobs
}

const STORAGE_KEY_BYTES = 32

/** Token objects made so far, to be removed when a later step fails. */
class Made {
  readonly #session: Pkcs11Session
  readonly #objects: ObjectHandle[] = []

  constructor(session: Pkcs11Session) {
    this.#session = session
  }

  keep(...objects: readonly ObjectHandle[]): void {
    this.#objects.push(...objects)
  }

  /** Goes on after a refusal: the rest should go, and the error that led here matters more. */
  remove(): void {
    for (const object of this.#objects.toReversed()) {
      try {
        this.#session.destroy(object)
      } catch {
        continue
      }
    }
  }
}

/**
 * Makes the storage keys, the import key pair and the receipt key pair in the token. The storage keys exist extractable
 * only as session objects, long enough to be wrapped under the recovery key; their lasting form is unwrapped from that.
 * @throws HsmError token_failed (see {@link openPkcs11Session}; labels in use; the token lacks something),
 *   key_blob_damaged when `from` does not open under the recovery key. The token is then as it was before.
 */
export function createPkcs11Keys(options: CreatePkcs11KeysOptions): CreatedToken<Pkcs11Settings> {
  if (options.recoveryKey.length !== RECOVERY_KEY_BYTES) {
    throw new HsmError('token_failed', `the recovery key has ${options.recoveryKey.length} bytes, expected 32`)
  }
  const session = openPkcs11Session(options.module, options.tokenLabel, options.pin)
  try {
    requireInToken(session.library, session.slot)
    refuseLabelsInUse(session, options.objectPrefix)
    const made = new Made(session)
    try {
      return createAll(session, made, options)
    } catch (cause) {
      made.remove()
      throw cause
    }
  } finally {
    closePkcs11Session(session)
  }
}

function refuseLabelsInUse(session: Pkcs11Session, objectPrefix: string): void {
  const labels = labelsInUse(session, objectPrefix)
  if (labels.length > 0) {
    throw new HsmError(
      'token_failed',
      `token "${session.slot.label}" already has ${labels.join(', ')}: choose another prefix, or an empty token`,
    )
  }
}

function createAll(session: Pkcs11Session, made: Made, options: CreatePkcs11KeysOptions): CreatedToken<Pkcs11Settings> {
  const mechanisms = plainMechanisms()
  return withObject(session, importRecoveryKey(session, options.recoveryKey), (recoverer) => {
    const recovery = options.from ?? generateStorageKeys(session, mechanisms, recoverer)
    const unwrapper = { session, mechanisms, recoverer }
    const importPair = createImportPair(session, made, objectLabel(options.objectPrefix, 'import'))
    const receiptPair = createReceiptPair(session, made, objectLabel(options.objectPrefix, 'receipt'))
    const objects: TokenObjects = {
      ...installStorageKeys(unwrapper, made, options.objectPrefix, recovery),
      import: importPair.privateKey,
      receipt: receiptPair.privateKey,
    }
    const bindingBlob = withObject(
      session,
      openRecovered(unwrapper, 'binding', recovery.binding, passingKey()),
      (binding) => session.wrap(mechanisms.keyWrap, objects.rootUse, binding),
    )
    // The binding key is checked in the form in which it will be used.
    const binding = session.unwrap(mechanisms.keyWrap, objects.rootUse, bindingBlob, hotTemplates().binding)
    return withObject(session, binding, () => {
      const checkValues = computeCheckValues({ session, objects, binding, mechanisms })
      requireHardened(unwrapper, objects.rootUse, checkValues.rootUseSentinel)
      return {
        settings: {
          kind: 'pkcs11',
          module: options.module,
          tokenLabel: options.tokenLabel,
          objectPrefix: options.objectPrefix,
          bindingBlob,
        },
        recovery,
        checkValues,
        importPublicKey: importPair.spki,
        receiptPublicKey: receiptPair.spki,
      }
    })
  })
}

function importRecoveryKey(session: Pkcs11Session, key: Buffer): ObjectHandle {
  const template = recoveryKey(key)
  try {
    return session.createObject(template)
  } finally {
    template.wipe()
  }
}

function generateStorageKeys(
  session: Pkcs11Session,
  mechanisms: PlainMechanisms,
  recoverer: ObjectHandle,
): RecoveryBlobs {
  const template = generatedKey(STORAGE_KEY_BYTES)
  const generate = () =>
    withObject(session, session.generateKey(mechanisms.generateAes, template), (key) =>
      session.wrap(mechanisms.keyWrap, recoverer, key),
    )
  return { rootUse: generate(), session: generate(), binding: generate(), escrow: generate() }
}

interface Unwrapper {
  readonly session: Pkcs11Session
  readonly mechanisms: PlainMechanisms
  readonly recoverer: ObjectHandle
}

function installStorageKeys(
  unwrapper: Unwrapper,
  made: Made,
  objectPrefix: string,
  recovery: RecoveryBlobs,
): Pick<TokenObjects, 'rootUse' | 'session' | 'escrow'> {
  const install = (name: 'rootUse' | 'session' | 'escrow', template: (label: string) => Template) => {
    const key = openRecovered(unwrapper, name, recovery[name], template(objectLabel(objectPrefix, name)))
    made.keep(key)
    return key
  }
  return {
    rootUse: install('rootUse', rootUseKey),
    session: install('session', sessionStorageKey),
    escrow: install('escrow', escrowKey),
  }
}

function openRecovered(
  { session, mechanisms, recoverer }: Unwrapper,
  name: keyof RecoveryBlobs,
  blob: Buffer,
  template: Template,
): ObjectHandle {
  if (blob.length !== STORAGE_KEY_BYTES + 8) {
    throw new HsmError('key_blob_damaged', `recovery copy of ${name}: ${blob.length} bytes, expected 40`)
  }
  try {
    return session.unwrap(mechanisms.keyWrap, recoverer, blob, template)
  } catch (cause) {
    if (!(cause instanceof Pkcs11Error) || cause.blobVerdict === 'token') throw cause
    throw new HsmError('key_blob_damaged', `recovery copy of ${name} does not open under this recovery key`, { cause })
  }
}

interface CreatedPair {
  readonly privateKey: ObjectHandle
  readonly spki: Buffer
}

function createImportPair(session: Pkcs11Session, made: Made, label: string): CreatedPair {
  const mechanism = new Mechanism(CKM.RSA_PKCS_KEY_PAIR_GEN)
  const [publicKey, privateKey] = session.generateKeyPair(mechanism, ...importKeyPair(label))
  made.keep(publicKey, privateKey)
  const n = session.attribute(publicKey, CKA.MODULUS).toString('base64url')
  const e = session.attribute(publicKey, CKA.PUBLIC_EXPONENT).toString('base64url')
  return { privateKey, spki: spkiOf({ kty: 'RSA', n, e }) }
}

function createReceiptPair(session: Pkcs11Session, made: Made, label: string): CreatedPair {
  const mechanism = new Mechanism(CKM.EC_EDWARDS_KEY_PAIR_GEN)
  const [publicKey, privateKey] = session.generateKeyPair(mechanism, ...receiptKeyPair(label))
  made.keep(publicKey, privateKey)
  const x = edwardsPoint(session.attribute(publicKey, CKA.EC_POINT)).toString('base64url')
  return { privateKey, spki: spkiOf({ kty: 'OKP', crv: 'Ed25519', x }) }
}

/** CKA_EC_POINT is the 32 bytes of the point (PKCS #11 3.x), or an OCTET STRING of them (SoftHSM2). */
function edwardsPoint(attribute: Buffer): Buffer {
  if (attribute.length === 32) return attribute
  if (attribute.length === 34 && attribute[0] === 0x04 && attribute[1] === 32) return attribute.subarray(2)
  throw new HsmError('token_failed', `the token gives an Ed25519 point of ${attribute.length} bytes`)
}

function spkiOf(jwk: Record<string, string>): Buffer {
  return createPublicKey({ format: 'jwk', key: jwk }).export({ type: 'spki', format: 'der' })
}
