import { createRequire } from 'node:module'
import type * as koffiModule from 'koffi'
import { HsmError } from '../errors.ts'

export type Koffi = typeof koffiModule

let loaded: Koffi | undefined

/**
 * Loads koffi at its first use: a soft HSM runs without it.
 * @throws HsmError token_failed when the optional package is missing
 */
export function loadKoffi(): Koffi {
  if (loaded === undefined) {
    try {
      loaded = createRequire(import.meta.url)('koffi') as Koffi
    } catch (cause) {
      throw new HsmError(
        'token_failed',
        'a PKCS #11 token needs the optional package koffi: install it with "npm install koffi", or use the soft HSM',
        { cause },
      )
    }
  }
  return loaded
}

/**
 * Bytes with an address that C code may keep. V8 never moves the store of an ArrayBuffer made this way; it lives as
 * long as this object. Structures of PKCS #11 consist of CK_ULONG and pointers, 8 bytes each in native order on the
 * 64-bit Linux systems that the HSM process supports.
 */
export class NativeMemory {
  readonly bytes: Buffer
  readonly words: BigUint64Array
  readonly address: bigint

  constructor(size: number) {
    const store = new ArrayBuffer(Math.max(8, Math.ceil(size / 8) * 8))
    this.bytes = Buffer.from(store, 0, size)
    this.words = new BigUint64Array(store)
    this.address = loadKoffi().address(store)
  }

  static from(bytes: Uint8Array): NativeMemory {
    const memory = new NativeMemory(bytes.length)
    memory.bytes.set(bytes)
    return memory
  }

  static ofWords(words: readonly (number | bigint)[]): NativeMemory {
    const memory = new NativeMemory(words.length * 8)
    memory.words.set(words.map(BigInt))
    return memory
  }
}
