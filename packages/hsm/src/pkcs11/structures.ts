import { CKG_MGF1_SHA1, CKM, CKZ_DATA_SPECIFIED } from './constants.ts'
import { NativeMemory } from './native-memory.ts'

/** A value of an attribute: CK_BBOOL, CK_ULONG, bytes, a nested template, or a list of mechanisms. */
export type AttributeValue =
  | boolean
  | number
  | Uint8Array
  | { readonly template: Attributes }
  | { readonly mechanisms: readonly number[] }

/** Order matters: SoftHSM2 applies attributes one by one, so MODIFIABLE=false must come last. */
export type Attributes = readonly (readonly [type: number, value: AttributeValue])[]

const ATTRIBUTE_WORDS = 3

/** A CK_ATTRIBUTE array in native memory, built once and passed as often as needed. */
export class Template {
  readonly count: number
  readonly #array: NativeMemory
  /** C follows pointers into these; holding them here keeps them alive. */
  readonly #values: (NativeMemory | Template)[] = []

  constructor(attributes: Attributes) {
    this.count = attributes.length
    this.#array = new NativeMemory(attributes.length * ATTRIBUTE_WORDS * 8)
    for (const [index, [type, value]] of attributes.entries()) {
      const [held, address, length] = encodeValue(value)
      this.#values.push(held)
      this.#array.words.set([BigInt(type), address, BigInt(length)], index * ATTRIBUTE_WORDS)
    }
  }

  get address(): bigint {
    return this.#array.address
  }

  get byteLength(): number {
    return this.#array.bytes.length
  }

  /** Overwrites the values, for a template that carried a secret one. The template is of no use afterwards. */
  wipe(): void {
    for (const value of this.#values) {
      if (value instanceof Template) value.wipe()
      else value.bytes.fill(0)
    }
  }
}

function encodeValue(value: AttributeValue): readonly [NativeMemory | Template, bigint, number] {
  if (typeof value === 'object' && 'template' in value) {
    const nested = new Template(value.template)
    return [nested, nested.address, nested.byteLength]
  }
  const memory = encodeFlat(value)
  return [memory, memory.address, memory.bytes.length]
}

function encodeFlat(value: Exclude<AttributeValue, { template: Attributes }>): NativeMemory {
  if (typeof value === 'boolean') return NativeMemory.from(Uint8Array.of(value ? 1 : 0))
  if (typeof value === 'number') return NativeMemory.ofWords([value])
  if (value instanceof Uint8Array) return NativeMemory.from(value)
  return NativeMemory.ofWords(value.mechanisms)
}

/** A CK_MECHANISM with its parameter in native memory. */
export class Mechanism {
  readonly type: number
  readonly #struct: NativeMemory
  readonly #parameter: NativeMemory | undefined

  constructor(type: number, parameter?: NativeMemory) {
    this.type = type
    this.#parameter = parameter
    this.#struct = NativeMemory.ofWords([type, parameter?.address ?? 0n, parameter?.bytes.length ?? 0])
  }

  get address(): bigint {
    return this.#struct.address
  }

  get parameter(): NativeMemory | undefined {
    return this.#parameter
  }
}

/**
 * RSA-OAEP with SHA-1 and MGF1-SHA-1, empty label. SoftHSM2 2.6.1 answers CKR_ARGUMENTS_BAD to any other hash; OAEP
 * does not rest on collision resistance, so SHA-1 is sound here.
 */
export function oaepSha1(): Mechanism {
  return new Mechanism(CKM.RSA_PKCS_OAEP, NativeMemory.ofWords([CKM.SHA_1, CKG_MGF1_SHA1, CKZ_DATA_SPECIFIED, 0, 0]))
}

export type DerivationMechanism = typeof CKM.AES_ECB_ENCRYPT_DATA | typeof CKM.AES_CBC_ENCRYPT_DATA

/** "AES of one block is a new key". The block is written into the mechanism's parameter before each call. */
export class BlockDerivation {
  readonly mechanism: Mechanism
  readonly block = new NativeMemory(16)

  constructor(type: DerivationMechanism) {
    const stringData = [this.block.address, 16] as const
    // CBC of one block under an IV of zeros is ECB of that block; the IV is the first 16 bytes of the parameter.
    const parameter = type === CKM.AES_CBC_ENCRYPT_DATA ? [0, 0, ...stringData] : stringData
    this.mechanism = new Mechanism(type, NativeMemory.ofWords(parameter))
  }
}
