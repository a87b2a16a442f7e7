import { NativeMemory } from '../../src/pkcs11/native-memory.ts'
import { Pkcs11Error } from '../../src/pkcs11/pkcs11-error.ts'
import type { NativeFunction } from '../../src/pkcs11/library.ts'
import {
  closePkcs11Session,
  type ObjectHandle,
  openPkcs11Session,
  type Pkcs11Session,
} from '../../src/pkcs11/session.ts'
import { type Attributes, type Mechanism, Template } from '../../src/pkcs11/structures.ts'

/** Whoever holds the PIN: a session like any other, and the calls that Mortise itself never makes. */
export class Attacker {
  readonly session: Pkcs11Session
  readonly #copyObject: NativeFunction
  readonly #setAttributeValue: NativeFunction
  readonly #encryptInit: NativeFunction
  readonly #encrypt: NativeFunction

  constructor(module: string, tokenLabel: string, pin: Buffer) {
    this.session = openPkcs11Session(module, tokenLabel, pin)
    const { library } = this.session
    this.#copyObject = library.bind(21, 'nnpnp')
    this.#setAttributeValue = library.bind(25, 'nnpn')
    this.#encryptInit = library.bind(29, 'npn')
    this.#encrypt = library.bind(30, 'npnpp')
  }

  copy(object: ObjectHandle, attributes: Attributes): ObjectHandle {
    const template = new Template(attributes)
    const made = new NativeMemory(8)
    const rv = this.#copyObject(this.session.handle, object, template.address, template.count, made.address)
    check('C_CopyObject', rv)
    return made.words[0] ?? 0n
  }

  set(object: ObjectHandle, attributes: Attributes): void {
    const template = new Template(attributes)
    const rv = this.#setAttributeValue(this.session.handle, object, template.address, template.count)
    check('C_SetAttributeValue', rv)
  }

  encrypt(mechanism: Mechanism, key: ObjectHandle, block: Buffer): Buffer {
    check('C_EncryptInit', this.#encryptInit(this.session.handle, mechanism.address, key))
    const output = new NativeMemory(64)
    const length = NativeMemory.ofWords([64])
    const rv = this.#encrypt(this.session.handle, block, block.length, output.address, length.address)
    check('C_Encrypt', rv)
    return Buffer.from(output.bytes.subarray(0, Number(length.words[0])))
  }

  close(): void {
    closePkcs11Session(this.session)
  }
}

function check(name: string, rv: number): void {
  if (rv !== 0) throw new Pkcs11Error(name, rv)
}
