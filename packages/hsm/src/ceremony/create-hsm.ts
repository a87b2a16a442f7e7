import { randomBytes } from 'node:crypto'
import { mkdirSync, writeFileSync } from 'node:fs'
import { createPkcs11Keys } from '../pkcs11/create-keys.ts'
import { createSoftKeys } from '../soft/create-keys.ts'
import { decodeRecoveryFile, encodeRecoveryFile, type RecoveryContent } from '../store/recovery-file.ts'
import { HSM_ID_BYTES, type StoreState } from '../store/state.ts'
import { STORAGE_KEY_ID_BYTES } from '../records/format.ts'
import { SealedStore } from '../supervisor/sealed-store.ts'
import type { BackendSettings } from '../token/settings.ts'
import type { CreatedToken } from '../token/token.ts'

/** Where the keys of a new HSM are to live. */
export type BackendChoice =
  | { readonly kind: 'soft' }
  | { readonly kind: 'pkcs11'; readonly module: string; readonly tokenLabel: string }

export interface CreateHsmOptions {
  /** `DIR/hsm`; must not exist yet. */
  readonly directory: string
  readonly backend: BackendChoice
  /** Passphrase of the soft HSM, or PIN of the token. */
  readonly secret: Buffer
  /** Ed25519, SPKI, DER: whose orders this HSM obeys. */
  readonly operatorPublicKey: Buffer
  readonly recoveryFile: string
  /** Where the 32 bytes go that open the recovery file, as hex. */
  readonly recoveryKeyFile: string
}

export interface RestoreHsmOptions extends Omit<CreateHsmOptions, 'recoveryFile' | 'recoveryKeyFile'> {
  readonly recovery: Buffer
  readonly recoveryKey: Buffer
}

/** Public facts about a new HSM. */
export interface CreatedHsm {
  readonly hsmId: string
  readonly importPublicKey: Buffer
  readonly receiptPublicKey: Buffer
}

/**
 * The ceremony of `mortise init`: storage keys, import and receipt key pairs, sealed store, recovery file.
 * @throws HsmError token_failed; Error with `code` EEXIST when there is an HSM already
 */
export function createHsm(options: CreateHsmOptions): CreatedHsm {
  mkdirSync(options.directory, { mode: 0o700 })
  const recoveryKey = randomBytes(32)
  const hsmId = randomBytes(HSM_ID_BYTES)
  const storageKeyId = randomBytes(STORAGE_KEY_ID_BYTES)
  const created = createKeys(options.backend, options.secret, hsmId, recoveryKey, undefined)
  const state = newState(created, hsmId, storageKeyId, options.operatorPublicKey)
  const { createdAt } = state
  const recovery = { hsmId, storageKeyId, createdAt, blobs: created.recovery, checkValues: created.checkValues }
  writeNew(options.recoveryKeyFile, `${recoveryKey.toString('hex')}\n`)
  writeNew(options.recoveryFile, encodeRecoveryFile(recoveryKey, recovery))
  recoveryKey.fill(0)
  SealedStore.create(options.directory, state, options.secret)
  return {
    hsmId: hsmId.toString('hex'),
    importPublicKey: created.importPublicKey,
    receiptPublicKey: created.receiptPublicKey,
  }
}

/** A second HSM, or the same one after a loss, with the storage keys of a recovery file: it opens the same records. */
export function restoreHsm(options: RestoreHsmOptions): CreatedHsm {
  const content: RecoveryContent = decodeRecoveryFile(options.recoveryKey, options.recovery)
  mkdirSync(options.directory, { mode: 0o700 })
  const hsmId = randomBytes(HSM_ID_BYTES)
  const created = createKeys(options.backend, options.secret, hsmId, options.recoveryKey, content)
  const state = newState(created, hsmId, content.storageKeyId, options.operatorPublicKey)
  SealedStore.create(options.directory, state, options.secret)
  return {
    hsmId: hsmId.toString('hex'),
    importPublicKey: created.importPublicKey,
    receiptPublicKey: created.receiptPublicKey,
  }
}

function createKeys(
  backend: BackendChoice,
  secret: Buffer,
  hsmId: Buffer,
  recoveryKey: Buffer,
  content: RecoveryContent | undefined,
): CreatedToken<BackendSettings> {
  const from = content === undefined ? {} : { from: content.blobs }
  if (backend.kind === 'soft') return createSoftKeys({ recoveryKey, ...from })
  const { module, tokenLabel } = backend
  const objectPrefix = `mortise-${hsmId.toString('hex')}`
  return createPkcs11Keys({ module, tokenLabel, pin: secret, recoveryKey, objectPrefix, ...from })
}

function newState(
  created: CreatedToken<BackendSettings>,
  hsmId: Buffer,
  storageKeyId: Buffer,
  operatorPublicKey: Buffer,
): StoreState {
  return {
    hsmId,
    storageKeyId,
    createdAt: new Date().toISOString(),
    epoch: 1,
    operatorPublicKey,
    importPublicKey: created.importPublicKey,
    receiptPublicKey: created.receiptPublicKey,
    checkValues: created.checkValues,
    backend: created.settings,
    floors: new Map(),
    labels: new Map(),
    kekVersions: new Map(),
    lastSequence: new Map(),
    lastWorker: 0,
    lastBoot: 0,
    unacknowledged: [],
  }
}

/** Never over something that is there: it may be the only copy of another HSM's keys. */
function writeNew(path: string, content: string | Uint8Array): void {
  writeFileSync(path, content, { mode: 0o600, flag: 'wx', flush: true })
}
