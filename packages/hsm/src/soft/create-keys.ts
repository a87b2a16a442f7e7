import { generateKeyPairSync, randomBytes } from 'node:crypto'
import { HsmError } from '../errors.ts'
import { RECOVERY_KEY_BYTES, type SoftSettings } from '../token/settings.ts'
import { CHECK_TEXT, type CheckValues, type CreatedToken, type RecoveryBlobs } from '../token/token.ts'
import { SoftKey, USE } from './soft-key.ts'

const STORAGE_KEY_BYTES = 32
const RECOVERY_BLOB_BYTES = 40
const SENTINEL_BYTES = 16
const IMPORT_KEY_BITS = 3072

/**
 * Makes the keys of a software token. With `from` the storage keys are those of the recovery blobs; the import and
 * receipt key pairs, and the sentinels of the check values, are always new.
 * @throws HsmError key_blob_damaged if `from` does not open under `recoveryKey` (32 bytes)
 */
export function createSoftKeys(options: { recoveryKey: Buffer; from?: RecoveryBlobs }): CreatedToken<SoftSettings> {
  const { recoveryKey, from } = options
  if (recoveryKey.length !== RECOVERY_KEY_BYTES) throw new HsmError('token_failed', 'recovery key size')
  const recovery = new SoftKey(Buffer.from(recoveryKey), USE.wrap | USE.unwrap)
  const keys = from === undefined ? generateStorageKeys() : openStorageKeys(recovery, from)
  const imports = generateImportKeys()
  const receipts = generateReceiptKeys()
  try {
    return {
      settings: {
        kind: 'soft',
        rootUse: keys.rootUse.read(),
        session: keys.session.read(),
        binding: keys.binding.read(),
        escrow: keys.escrow.read(),
        importPrivateKey: imports.privateKey,
        receiptPrivateKey: receipts.privateKey,
      },
      recovery: {
        rootUse: recovery.wrap(keys.rootUse),
        session: recovery.wrap(keys.session),
        binding: recovery.wrap(keys.binding),
        escrow: recovery.wrap(keys.escrow),
      },
      checkValues: makeCheckValues(keys),
      importPublicKey: imports.publicKey,
      receiptPublicKey: receipts.publicKey,
    }
  } finally {
    for (const key of [recovery, keys.rootUse, keys.session, keys.binding, keys.escrow]) key.close()
  }
}

function generateImportKeys() {
  return generateKeyPairSync('rsa', {
    modulusLength: IMPORT_KEY_BITS,
    publicKeyEncoding: { type: 'spki', format: 'der' },
    privateKeyEncoding: { type: 'pkcs8', format: 'der' },
  })
}

function generateReceiptKeys() {
  return generateKeyPairSync('ed25519', {
    publicKeyEncoding: { type: 'spki', format: 'der' },
    privateKeyEncoding: { type: 'pkcs8', format: 'der' },
  })
}

type StorageKeys = Record<keyof RecoveryBlobs, SoftKey>

/** A storage key while the keys are made: whatever the check values and the recovery file need. */
const CREATION_USES = USE.wrap | USE.mac | USE.beWrapped | USE.beRead

function generateStorageKeys(): StorageKeys {
  const generate = () => new SoftKey(randomBytes(STORAGE_KEY_BYTES), CREATION_USES)
  return { rootUse: generate(), session: generate(), binding: generate(), escrow: generate() }
}

function openStorageKeys(recovery: SoftKey, blobs: RecoveryBlobs): StorageKeys {
  const open = (name: keyof RecoveryBlobs) => {
    const blob = blobs[name]
    const key = blob.length === RECOVERY_BLOB_BYTES ? recovery.unwrap(blob, CREATION_USES) : undefined
    if (key === undefined) throw new HsmError('key_blob_damaged', `recovery copy of ${name}`)
    return key
  }
  return { rootUse: open('rootUse'), session: open('session'), binding: open('binding'), escrow: open('escrow') }
}

function makeCheckValues(keys: StorageKeys): CheckValues {
  const rootUse = new SoftKey(randomBytes(SENTINEL_BYTES), USE.mac | USE.beWrapped)
  const session = new SoftKey(randomBytes(SENTINEL_BYTES), USE.mac | USE.beWrapped)
  try {
    return {
      rootUseSentinel: keys.rootUse.wrap(rootUse),
      rootUseCmac: rootUse.cmac(CHECK_TEXT),
      sessionSentinel: keys.session.wrap(session),
      sessionCmac: session.cmac(CHECK_TEXT),
      bindingCmac: keys.binding.cmac(CHECK_TEXT),
      escrowOfSentinel: keys.escrow.wrap(session),
    }
  } finally {
    rootUse.close()
    session.close()
  }
}
