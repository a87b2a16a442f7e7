import { HsmError } from '../errors.ts'
import { CKA, CKF_RW_SESSION, CKF_SERIAL_SESSION, CKR, CKU_USER } from './constants.ts'
import { loadPkcs11Library, type FunctionName, type NativeFunction, type Pkcs11Library, type Slot } from './library.ts'
import { NativeMemory } from './native-memory.ts'
import { Pkcs11Error } from './pkcs11-error.ts'
import { type Mechanism, Template, type Attributes } from './structures.ts'

/** CK_OBJECT_HANDLE. */
export type ObjectHandle = bigint

/** Room for every answer: a join-accept, a wrapped 256-bit key, a signature, an RSA modulus. */
const OUTPUT_SIZE = 4096
const FIND_CHUNK = 64

/**
 * One logged-in read-write session and the calls made over it. Output goes through one fixed buffer that is larger
 * than any answer: a buffer that is too small would leave the operation active in the token.
 */
export class Pkcs11Session {
  readonly library: Pkcs11Library
  readonly slot: Slot
  readonly handle: bigint
  /** Session objects made over this session. */
  objectsMade = 0
  readonly #call: Readonly<Record<FunctionName, NativeFunction>>
  readonly #output = new NativeMemory(OUTPUT_SIZE)
  readonly #length = new NativeMemory(8)
  readonly #object = new NativeMemory(16)

  constructor(library: Pkcs11Library, slot: Slot) {
    this.library = library
    this.slot = slot
    this.#call = library.functions
    const handle = new NativeMemory(8)
    library.call('C_OpenSession', slot.id, CKF_SERIAL_SESSION | CKF_RW_SESSION, null, null, handle.address)
    this.handle = handle.words[0] ?? 0n
  }

  login(pin: Buffer): void {
    // No PIN at all would ask the token for another way to log in (PKCS #11 2.40 §5.6, C_Login).
    if (pin.length === 0) throw new HsmError('token_failed', 'the PIN is empty: check the PIN file')
    const rv = this.#call.C_Login(this.handle, CKU_USER, pin, pin.length)
    // The login belongs to the process, not to the session: a second session of it finds itself logged in.
    if (rv !== CKR.OK && rv !== CKR.USER_ALREADY_LOGGED_IN) throw new Pkcs11Error('C_Login', rv)
  }

  close(): void {
    this.library.call('C_CloseSession', this.handle)
  }

  find(attributes: Attributes): ObjectHandle[] {
    const template = new Template(attributes)
    const found = new NativeMemory(8 * FIND_CHUNK)
    const handles: ObjectHandle[] = []
    this.library.call('C_FindObjectsInit', this.handle, template.address, template.count)
    try {
      for (;;) {
        this.library.call('C_FindObjects', this.handle, found.address, FIND_CHUNK, this.#length.address)
        const count = Number(this.#length.words[0])
        handles.push(...found.words.subarray(0, count))
        if (count < FIND_CHUNK) return handles
      }
    } finally {
      this.library.call('C_FindObjectsFinal', this.handle)
    }
  }

  /** The bytes of one attribute. @throws Pkcs11Error for instance CKR_ATTRIBUTE_SENSITIVE */
  attribute(object: ObjectHandle, type: number): Buffer {
    const query = NativeMemory.ofWords([type, this.#output.address, OUTPUT_SIZE])
    this.library.call('C_GetAttributeValue', this.handle, object, query.address, 1)
    return this.#takeOutput(Number(query.words[2]))
  }

  /** The 16 bytes of a key that is not sensitive. */
  value(object: ObjectHandle): Buffer {
    return this.attribute(object, CKA.VALUE)
  }

  /** `message` and `data` below have at least 1 byte: SoftHSM2 refuses none, and leaves the operation active. */
  sign(mechanism: Mechanism, key: ObjectHandle, message: Uint8Array): Buffer {
    this.#check('C_SignInit', this.#call.C_SignInit(this.handle, mechanism.address, key))
    this.#length.words[0] = BigInt(OUTPUT_SIZE)
    const { address } = this.#output
    this.#check('C_Sign', this.#call.C_Sign(this.handle, message, message.length, address, this.#length.address))
    return this.#takeOutput(Number(this.#length.words[0]))
  }

  decrypt(mechanism: Mechanism, key: ObjectHandle, data: Uint8Array): Buffer {
    this.#check('C_DecryptInit', this.#call.C_DecryptInit(this.handle, mechanism.address, key))
    this.#length.words[0] = BigInt(OUTPUT_SIZE)
    const { address } = this.#output
    this.#check('C_Decrypt', this.#call.C_Decrypt(this.handle, data, data.length, address, this.#length.address))
    return this.#takeOutput(Number(this.#length.words[0]))
  }

  wrap(mechanism: Mechanism, kek: ObjectHandle, key: ObjectHandle): Buffer {
    this.#length.words[0] = BigInt(OUTPUT_SIZE)
    const { address } = this.#output
    const rv = this.#call.C_WrapKey(this.handle, mechanism.address, kek, key, address, this.#length.address)
    this.#check('C_WrapKey', rv)
    return this.#takeOutput(Number(this.#length.words[0]))
  }

  unwrap(mechanism: Mechanism, kek: ObjectHandle, blob: Uint8Array, template: Template): ObjectHandle {
    const rv = this.#call.C_UnwrapKey(
      this.handle,
      mechanism.address,
      kek,
      blob,
      blob.length,
      template.address,
      template.count,
      this.#object.address,
    )
    return this.#made('C_UnwrapKey', rv)
  }

  derive(mechanism: Mechanism, key: ObjectHandle, template: Template): ObjectHandle {
    const { address } = this.#object
    const rv = this.#call.C_DeriveKey(this.handle, mechanism.address, key, template.address, template.count, address)
    return this.#made('C_DeriveKey', rv)
  }

  createObject(template: Template): ObjectHandle {
    const rv = this.#call.C_CreateObject(this.handle, template.address, template.count, this.#object.address)
    return this.#made('C_CreateObject', rv)
  }

  generateKey(mechanism: Mechanism, template: Template): ObjectHandle {
    const { address } = this.#object
    const rv = this.#call.C_GenerateKey(this.handle, mechanism.address, template.address, template.count, address)
    return this.#made('C_GenerateKey', rv)
  }

  generateKeyPair(mechanism: Mechanism, publicKey: Template, privateKey: Template): [ObjectHandle, ObjectHandle] {
    this.library.call(
      'C_GenerateKeyPair',
      this.handle,
      mechanism.address,
      publicKey.address,
      publicKey.count,
      privateKey.address,
      privateKey.count,
      this.#object.address,
      this.#object.address + 8n,
    )
    this.objectsMade += 2
    return [this.#object.words[0] ?? 0n, this.#object.words[1] ?? 0n]
  }

  destroy(object: ObjectHandle): void {
    this.#check('C_DestroyObject', this.#call.C_DestroyObject(this.handle, object))
  }

  #check(name: FunctionName, rv: number): void {
    if (rv !== CKR.OK) throw new Pkcs11Error(name, rv)
  }

  #made(name: FunctionName, rv: number): ObjectHandle {
    this.#check(name, rv)
    this.objectsMade += 1
    return this.#object.words[0] ?? 0n
  }

  /** A copy of the answer; the shared buffer keeps nothing, since some answers are keys. */
  #takeOutput(length: number): Buffer {
    const answer = Buffer.from(this.#output.bytes.subarray(0, length))
    this.#output.bytes.fill(0, 0, length)
    return answer
  }
}

/**
 * Opens a session with the token of that label and logs in. {@link closePkcs11Session} ends it.
 * @throws HsmError token_failed: no such token (the message lists those seen), wrong or locked PIN
 */
export function openPkcs11Session(module: string, tokenLabel: string, pin: Buffer): Pkcs11Session {
  const library = loadPkcs11Library(module)
  library.retain()
  try {
    const session = new Pkcs11Session(library, findSlot(library.slots(), tokenLabel, module))
    try {
      session.login(pin)
      return session
    } catch (cause) {
      session.close()
      throw loginError(cause, tokenLabel)
    }
  } catch (cause) {
    library.release()
    throw cause
  }
}

/** Ends the session; its session objects go with it. */
export function closePkcs11Session(session: Pkcs11Session): void {
  try {
    session.close()
  } finally {
    session.library.release()
  }
}

export function findSlot(slots: readonly Slot[], label: string, module: string): Slot {
  const [slot, ...others] = slots.filter((candidate) => candidate.label === label)
  if (slot === undefined) {
    const seen = slots.filter((candidate) => candidate.label !== '').map((candidate) => `"${candidate.label}"`)
    const hint =
      seen.length > 0
        ? `it has ${seen.join(', ')}`
        : 'it has none: initialise one (SoftHSM2: softhsm2-util --init-token --free --label LABEL, ' +
          'with the same SOFTHSM2_CONF)'
    throw new HsmError('token_failed', `${module} has no token labelled "${label}"; ${hint}`)
  }
  if (others.length > 0) {
    throw new HsmError(
      'token_failed',
      `${module} has ${others.length + 1} tokens labelled "${label}": rename all but one`,
    )
  }
  return slot
}

/** What to do about a refused login. The PIN is never part of it. */
const LOGIN_ADVICE: Readonly<Record<number, string>> = {
  [CKR.PIN_INCORRECT]: 'the PIN is wrong: check the PIN file (tokens lock after a few wrong PINs)',
  [CKR.PIN_INVALID]: 'the PIN has characters that the token does not take: check the PIN file',
  [CKR.PIN_LEN_RANGE]: 'the PIN is too short or too long for the token: check the PIN file',
  [CKR.PIN_EXPIRED]: 'the PIN has expired: set a new one with the tool of the token',
  [CKR.PIN_LOCKED]: 'the PIN is locked after too many wrong ones: unlock it with the SO PIN and the tool of the token',
  [CKR.USER_PIN_NOT_INITIALIZED]: 'the token has no user PIN yet: set one with the tool of the token',
}

function loginError(cause: unknown, tokenLabel: string): unknown {
  const advice = cause instanceof Pkcs11Error ? LOGIN_ADVICE[cause.rv] : undefined
  if (advice === undefined) return cause
  return new HsmError('token_failed', `token "${tokenLabel}": ${advice}`, { cause })
}
