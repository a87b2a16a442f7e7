import { HsmError } from '../errors.ts'
import { parseMembers } from '../members.ts'
import type { Pkcs11Settings } from '../token/settings.ts'

/** What must be known before the sealed store can be opened. Nothing in it is secret: the binding key is wrapped. */
export type BackendFile = { readonly kind: 'soft' } | Pkcs11Settings

export function encodeBackendFile(backend: BackendFile): Buffer {
  const body = backend.kind === 'soft' ? backend : { ...backend, bindingBlob: backend.bindingBlob.toString('hex') }
  return Buffer.from(`${JSON.stringify(body, undefined, 2)}\n`)
}

/** @throws HsmError store_damaged */
export function decodeBackendFile(bytes: Buffer): BackendFile {
  const members = parseMembers(bytes, 'backend.json')
  const backend = readBackend(members.text('kind'), members)
  members.end()
  return backend
}

function readBackend(kind: string, members: ReturnType<typeof parseMembers>): BackendFile {
  switch (kind) {
    case 'soft':
      return { kind }
    case 'pkcs11':
      return {
        kind,
        module: members.text('module'),
        tokenLabel: members.text('tokenLabel'),
        objectPrefix: members.text('objectPrefix'),
        bindingBlob: members.hexBytes('bindingBlob', 40),
      }
    default:
      throw new HsmError('store_damaged', 'backend.json: kind')
  }
}
