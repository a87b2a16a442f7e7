import type { BackendSettings, Pkcs11Settings, SoftSettings } from '../token/settings.ts'
import type { Members } from '../members.ts'

const STORAGE_KEY_BYTES = 32
/** The binding key, 32 bytes, wrapped (RFC 3394). */
const BINDING_BLOB_BYTES = 40

/** Settings of a back end as a JSON object; bytes in base64. The result is secret. */
export function encodeBackendSettings(settings: BackendSettings): Record<string, string> {
  switch (settings.kind) {
    case 'soft':
      return {
        kind: 'soft',
        rootUse: settings.rootUse.toString('base64'),
        session: settings.session.toString('base64'),
        binding: settings.binding.toString('base64'),
        escrow: settings.escrow.toString('base64'),
        importPrivateKey: settings.importPrivateKey.toString('base64'),
        receiptPrivateKey: settings.receiptPrivateKey.toString('base64'),
      }
    case 'pkcs11':
      return {
        kind: 'pkcs11',
        module: settings.module,
        tokenLabel: settings.tokenLabel,
        objectPrefix: settings.objectPrefix,
        bindingBlob: settings.bindingBlob.toString('base64'),
      }
  }
}

/** @throws HsmError store_damaged */
export function decodeBackendSettings(members: Members): BackendSettings {
  const settings = readSettings(members)
  members.end()
  return settings
}

function readSettings(members: Members): BackendSettings {
  switch (members.text('kind')) {
    case 'soft':
      return readSoft(members)
    case 'pkcs11':
      return readPkcs11(members)
    default:
      return members.fail('kind')
  }
}

function readSoft(members: Members): SoftSettings {
  return {
    kind: 'soft',
    rootUse: members.base64('rootUse', STORAGE_KEY_BYTES),
    session: members.base64('session', STORAGE_KEY_BYTES),
    binding: members.base64('binding', STORAGE_KEY_BYTES),
    escrow: members.base64('escrow', STORAGE_KEY_BYTES),
    importPrivateKey: members.base64('importPrivateKey'),
    receiptPrivateKey: members.base64('receiptPrivateKey'),
  }
}

function readPkcs11(members: Members): Pkcs11Settings {
  return {
    kind: 'pkcs11',
    module: members.text('module'),
    tokenLabel: members.text('tokenLabel'),
    objectPrefix: members.text('objectPrefix'),
    bindingBlob: members.base64('bindingBlob', BINDING_BLOB_BYTES),
  }
}
