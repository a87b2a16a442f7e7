import { existsSync, renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { HsmError } from '../errors.ts'
import { openToken } from '../token/open-token.ts'
import type { Pkcs11Settings } from '../token/settings.ts'
import { readLimited, writeDurably } from '../store/durable-file.ts'
import { openFile, SealingKey, sealFile, type Unlock } from '../store/sealed-file.ts'
import { decodeStoreState, encodeStoreState, MAX_STORE_FILE_BYTES, type StoreState } from '../store/state.ts'
import { decodeBackendFile, encodeBackendFile } from './backend-file.ts'

const STORE_FILE = 'store'
const BACKEND_FILE = 'backend.json'
const RECEIPTS_FILE = 'receipts'
const MAX_BACKEND_FILE_BYTES = 64 * 1024
const SEALING_TEXTS = ['mortise sealed store key 1a', 'mortise sealed store key 1b']

/** The sealed store of one HSM: `DIR/hsm/store`, and what must be known before it can be opened: `DIR/hsm/backend.json`. */
export class SealedStore {
  readonly #directory: string
  readonly #key: SealingKey
  #state: StoreState

  private constructor(directory: string, key: SealingKey, state: StoreState) {
    this.#directory = directory
    this.#key = key
    this.#state = state
  }

  static exists(directory: string): boolean {
    return existsSync(join(directory, STORE_FILE))
  }

  /** Which secret opens the store: the passphrase of the soft HSM, or the token's PIN. */
  static backendKind(directory: string): 'soft' | 'pkcs11' {
    return readBackend(directory).kind
  }

  /** Writes a new store. `secret` is the passphrase or the PIN. */
  static create(directory: string, state: StoreState, secret: Buffer): SealedStore {
    const backend = state.backend
    const key =
      backend.kind === 'soft'
        ? SealingKey.fromPassphrase(secret)
        : SealingKey.fromToken(deriveSealingKey(backend, secret))
    const store = new SealedStore(directory, key, state)
    writeDurably(join(directory, BACKEND_FILE), encodeBackendFile(backend.kind === 'soft' ? { kind: 'soft' } : backend))
    store.write(state)
    return store
  }

  /**
   * Opens the store with the passphrase or PIN.
   * @throws HsmError wrong_passphrase, store_damaged, token_failed
   */
  static open(directory: string, secret: Buffer): SealedStore {
    const backend = readBackend(directory)
    const unlock: Unlock =
      backend.kind === 'soft' ? { passphrase: secret } : { tokenKey: deriveSealingKey(backend, secret) }
    const { payload, key } = openFile(readStoreFile(directory), unlock)
    const state = decodeStoreState(payload)
    if (state.backend.kind !== backend.kind) throw new HsmError('store_damaged', 'backend.json is of another HSM')
    return new SealedStore(directory, key, state)
  }

  get state(): StoreState {
    return this.#state
  }

  /** Makes a new state durable. After a failure the old one stands, on disk and here. */
  write(state: StoreState): void {
    writeDurably(join(this.#directory, STORE_FILE), sealFile(this.#key, encodeStoreState(state)))
    this.#state = state
  }

  /** Receipts that an orderly stop could not hand over, sealed like the store; `undefined` when there are none. */
  readReceipts(): Buffer | undefined {
    const path = join(this.#directory, RECEIPTS_FILE)
    if (!existsSync(path)) return undefined
    const payload = this.#key.open(readExisting(path, MAX_STORE_FILE_BYTES))
    if (payload === undefined)
      throw new HsmError('store_damaged', 'receipts: it was changed, or belongs to another store')
    return payload
  }

  /** Puts aside receipts that cannot be read, as evidence; returns where they are. */
  setReceiptsAside(): string {
    const path = join(this.#directory, RECEIPTS_FILE)
    const aside = `${path}.unreadable-${Date.now()}`
    renameSync(path, aside)
    return aside
  }

  writeReceipts(payload: Buffer | undefined): void {
    const path = join(this.#directory, RECEIPTS_FILE)
    if (payload === undefined) rmSync(path, { force: true })
    else writeDurably(path, sealFile(this.#key, payload))
  }

  /** A change that need not survive a crash; it is written with the next one that must. */
  keepInMemory(state: StoreState): void {
    this.#state = state
  }
}

/** The token that opened the store seals it: its binding key makes two CMACs over texts that no record begins with. */
function deriveSealingKey(settings: Pkcs11Settings, pin: Buffer): Buffer {
  const token = openToken(settings, pin)
  try {
    return Buffer.concat(SEALING_TEXTS.map((text) => token.tag(Buffer.from(text, 'ascii'))))
  } finally {
    token[Symbol.dispose]()
  }
}

function readBackend(directory: string): { kind: 'soft' } | Pkcs11Settings {
  return decodeBackendFile(readExisting(join(directory, BACKEND_FILE), MAX_BACKEND_FILE_BYTES))
}

function readStoreFile(directory: string): Buffer {
  return readExisting(join(directory, STORE_FILE), MAX_STORE_FILE_BYTES)
}

function readExisting(path: string, maxBytes: number): Buffer {
  try {
    return readLimited(path, maxBytes)
  } catch (error) {
    if (error instanceof HsmError) throw error
    throw new HsmError('store_damaged', `cannot read ${path}`, { cause: error })
  }
}
