import { generateKeyPairSync, type KeyObject } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type BackendChoice, type CreatedHsm, createHsm } from '../../src/ceremony/create-hsm.ts'
import { SealedStore } from '../../src/supervisor/sealed-store.ts'
import type { StoreState } from '../../src/store/state.ts'
import { createSoftHsm, PIN_TEXT, type SoftHsm, TOKEN_LABEL } from '../pkcs11/softhsm.ts'
import { Operator } from './operator.ts'

export const BACKENDS = ['soft', 'pkcs11'] as const
export type BackendName = (typeof BACKENDS)[number]

const PASSPHRASE = 'correct horse battery staple'

/** An HSM as `mortise init` makes it, in a directory of its own, on either back end. */
export class TestHsm {
  readonly backend: BackendName
  readonly root: string
  readonly directory: string
  readonly secretFile: string
  readonly recoveryFile: string
  readonly recoveryKeyFile: string
  readonly created: CreatedHsm
  readonly operatorKey: KeyObject
  readonly operator: Operator
  readonly #softHsm: SoftHsm | undefined

  constructor(backend: BackendName) {
    this.backend = backend
    this.root = mkdtempSync(join(tmpdir(), 'mortise-test-'))
    this.directory = join(this.root, 'hsm')
    this.secretFile = join(this.root, 'secret')
    this.recoveryFile = join(this.root, 'recovery')
    this.recoveryKeyFile = join(this.root, 'recovery-key')
    this.#softHsm = backend === 'pkcs11' ? createSoftHsm() : undefined
    writeFileSync(this.secretFile, `${this.secret().toString()}\n`, { mode: 0o600 })
    const { privateKey, publicKey } = generateKeyPairSync('ed25519')
    this.operatorKey = privateKey
    this.created = createHsm({
      directory: this.directory,
      backend: this.choice,
      secret: this.secret(),
      operatorPublicKey: publicKey.export({ format: 'der', type: 'spki' }),
      recoveryFile: this.recoveryFile,
      recoveryKeyFile: this.recoveryKeyFile,
    })
    this.operator = new Operator(privateKey, this.created)
  }

  /** Passphrase or PIN; a new buffer each time, because whoever gets it wipes it. */
  secret(): Buffer {
    return Buffer.from(this.backend === 'soft' ? PASSPHRASE : PIN_TEXT)
  }

  get choice(): BackendChoice {
    if (this.#softHsm === undefined) return { kind: 'soft' }
    return { kind: 'pkcs11', module: this.#softHsm.module, tokenLabel: TOKEN_LABEL }
  }

  get storeFile(): string {
    return join(this.directory, 'store')
  }

  recovery(): { recovery: Buffer; recoveryKey: Buffer } {
    const key = readFileSync(this.recoveryKeyFile, 'utf8').trim()
    return { recovery: readFileSync(this.recoveryFile), recoveryKey: Buffer.from(key, 'hex') }
  }

  readState(): StoreState {
    return SealedStore.open(this.directory, this.secret()).state
  }

  [Symbol.dispose](): void {
    this.#softHsm?.remove()
    rmSync(this.root, { recursive: true, force: true })
  }
}
