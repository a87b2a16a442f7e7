import { existsSync } from 'node:fs'
import { isAbsolute } from 'node:path'
import { HsmError } from '../errors.ts'
import { CKF_OS_LOCKING_OK, CKR } from './constants.ts'
import { loadKoffi, NativeMemory } from './native-memory.ts'
import { Pkcs11Error } from './pkcs11-error.ts'

/** What a call takes: numbers for CK_ULONG, bigint for addresses and handles, bytes for a `void *`. */
export type NativeArgument = number | bigint | Uint8Array | null
export type NativeFunction = (...args: readonly NativeArgument[]) => number

/**
 * Position in CK_FUNCTION_LIST (PKCS #11 2.40, pkcs11f.h) and parameters, one letter each: `n` is a CK_ULONG (handle,
 * count, flags), `p` a pointer. Only the calls that are used.
 */
const FUNCTIONS = {
  C_Initialize: [0, 'p'],
  C_Finalize: [1, 'p'],
  C_GetSlotList: [4, 'npp'],
  C_GetTokenInfo: [6, 'np'],
  C_GetMechanismList: [7, 'npp'],
  C_OpenSession: [12, 'nnppp'],
  C_CloseSession: [13, 'n'],
  C_Login: [18, 'nnpn'],
  C_CreateObject: [20, 'npnp'],
  C_DestroyObject: [22, 'nn'],
  C_GetAttributeValue: [24, 'nnpn'],
  C_FindObjectsInit: [26, 'npn'],
  C_FindObjects: [27, 'npnp'],
  C_FindObjectsFinal: [28, 'n'],
  C_DecryptInit: [33, 'npn'],
  C_Decrypt: [34, 'npnpp'],
  C_SignInit: [42, 'npn'],
  C_Sign: [43, 'npnpp'],
  C_GenerateKey: [58, 'nppnp'],
  C_GenerateKeyPair: [59, 'nppnpnpp'],
  C_WrapKey: [60, 'npnnpp'],
  C_UnwrapKey: [61, 'npnpnpnp'],
  C_DeriveKey: [62, 'npnpnp'],
} as const

export type FunctionName = keyof typeof FUNCTIONS

/** CK_VERSION, padded to the alignment of the pointers after it. */
const FUNCTION_LIST_HEADER = 8

/** CK_TOKEN_INFO on a 64-bit system; the label is its first 32 bytes, padded with blanks. */
const TOKEN_INFO_SIZE = 208
const TOKEN_LABEL_SIZE = 32

/** More slots than any machine has; a guard against a broken library. */
const SLOT_LIMIT = 4096
const MECHANISM_LIMIT = 4096

export interface Slot {
  readonly id: bigint
  readonly label: string
}

/** A loaded PKCS #11 library. C_Initialize holds for the whole process, so its users are counted. */
export class Pkcs11Library {
  readonly functions: Readonly<Record<FunctionName, NativeFunction>>
  readonly #functionList: bigint
  #users = 0

  constructor(path: string) {
    this.#functionList = functionListOf(path)
    const names = Object.keys(FUNCTIONS) as FunctionName[]
    const bound = names.map((name) => [name, this.bind(FUNCTIONS[name][0], FUNCTIONS[name][1])] as const)
    this.functions = Object.fromEntries(bound) as Record<FunctionName, NativeFunction>
  }

  /** The function at `index` of CK_FUNCTION_LIST, with one letter for each parameter: `n` CK_ULONG, `p` pointer. */
  bind(index: number, parameters: string): NativeFunction {
    const koffi = loadKoffi()
    const types = Array.from(parameters, (letter) => (letter === 'n' ? 'ulong' : 'void *'))
    const pointer: unknown = koffi.decode(this.#functionList, FUNCTION_LIST_HEADER + 8 * index, 'void *')
    return koffi.decode(pointer, koffi.proto('ulong', types)) as NativeFunction
  }

  call(name: FunctionName, ...args: readonly NativeArgument[]): void {
    const rv = this.functions[name](...args)
    if (rv !== CKR.OK) throw new Pkcs11Error(name, rv)
  }

  /** Starts the library for one more user. {@link release} undoes it. */
  retain(): void {
    if (this.#users === 0) {
      // Threads of this process may call at once, and p11-kit refuses to start without the flag.
      const initializeArgs = NativeMemory.ofWords([0, 0, 0, 0, CKF_OS_LOCKING_OK, 0])
      this.call('C_Initialize', initializeArgs.address)
    }
    this.#users += 1
  }

  /** Stops the library with its last user. Only C_Finalize gives back what SoftHSM2 leaks per object. */
  release(): void {
    this.#users -= 1
    if (this.#users === 0) this.call('C_Finalize', null)
  }

  /** The slots that hold a token. */
  slots(): Slot[] {
    const count = new NativeMemory(8)
    this.call('C_GetSlotList', 1, null, count.address)
    const ids = new NativeMemory(8 * boundedCount(count, SLOT_LIMIT))
    this.call('C_GetSlotList', 1, ids.address, count.address)
    return [...ids.words.subarray(0, boundedCount(count, SLOT_LIMIT))].map((id) => ({ id, label: this.#label(id) }))
  }

  mechanisms(slot: bigint): ReadonlySet<number> {
    const count = new NativeMemory(8)
    this.call('C_GetMechanismList', slot, null, count.address)
    const types = new NativeMemory(8 * boundedCount(count, MECHANISM_LIMIT))
    this.call('C_GetMechanismList', slot, types.address, count.address)
    return new Set([...types.words.subarray(0, boundedCount(count, MECHANISM_LIMIT))].map(Number))
  }

  #label(slot: bigint): string {
    const info = new NativeMemory(TOKEN_INFO_SIZE)
    this.call('C_GetTokenInfo', slot, info.address)
    return info.bytes.toString('utf8', 0, TOKEN_LABEL_SIZE).trimEnd()
  }
}

function boundedCount(count: NativeMemory, limit: number): number {
  const value = Number(count.words[0])
  if (value > limit) throw new HsmError('token_failed', `the PKCS #11 library lists ${value} entries, limit ${limit}`)
  return value
}

/** koffi unmaps a library when its object is collected, and the next call would jump into nothing: kept for ever. */
const loadedModules: object[] = []

function functionListOf(path: string): bigint {
  // A bare name would be looked for wherever the environment says.
  if (!isAbsolute(path)) throw new HsmError('token_failed', `PKCS #11 module ${path}: give its absolute path`)
  if (!existsSync(path)) {
    throw new HsmError(
      'token_failed',
      `PKCS #11 module ${path} does not exist: install it (SoftHSM2 on Debian: apt-get install softhsm2, ` +
        'then /usr/lib/softhsm/libsofthsm2.so) or correct the path',
    )
  }
  const list = new NativeMemory(8)
  try {
    const module = loadKoffi().load(path)
    loadedModules.push(module)
    const getFunctionList = module.func('C_GetFunctionList', 'ulong', ['void *']) as NativeFunction
    const rv = getFunctionList(list.address)
    if (rv !== CKR.OK) throw new Pkcs11Error('C_GetFunctionList', rv)
  } catch (cause) {
    if (cause instanceof HsmError) throw cause
    throw new HsmError('token_failed', `${path} is not a PKCS #11 module for this machine`, { cause })
  }
  return list.words[0] ?? 0n
}

const libraries = new Map<string, Pkcs11Library>()

/**
 * Loads a library once per process and path; it is never unloaded, since its code may hold threads and exit handlers.
 * @param path absolute path
 * @throws HsmError token_failed when the file is missing or is no PKCS #11 library
 */
export function loadPkcs11Library(path: string): Pkcs11Library {
  const known = libraries.get(path)
  if (known !== undefined) return known
  const library = new Pkcs11Library(path)
  libraries.set(path, library)
  return library
}
