import { closeSync, fstatSync, openSync, readSync } from 'node:fs'

export type SecretFileErrorCode =
  | 'secret_file_missing'
  | 'secret_file_unreadable'
  | 'secret_file_exposed'
  | 'secret_file_empty'

/** A file with a key, PIN or passphrase that cannot be used. `hint` is what to do about it. */
export class SecretFileError extends Error {
  override readonly name = 'SecretFileError'
  readonly code: SecretFileErrorCode
  readonly hint: string

  constructor(code: SecretFileErrorCode, message: string, hint: string, options?: ErrorOptions) {
    super(message, options)
    this.code = code
    this.hint = hint
  }
}

const MAX_SECRET_FILE_BYTES = 64 * 1024 * 1024

/**
 * Reads a file that holds a secret. Nobody but its owner may have any access to it (mode 0600 or stricter).
 * @throws SecretFileError
 */
export function readSecretFile(path: string): Buffer {
  const file = openSecretFile(path)
  try {
    // The open file is examined, not the path: it cannot be exchanged in between.
    const { mode, size } = fstatSync(file)
    if ((mode & 0o077) !== 0)
      throw new SecretFileError('secret_file_exposed', `${path} can be read by others`, `chmod 600 ${path}`)
    if (size === 0) throw new SecretFileError('secret_file_empty', `${path} is empty`, 'write the secret into it first')
    if (size > MAX_SECRET_FILE_BYTES)
      throw new SecretFileError('secret_file_unreadable', `${path} is too large`, 'is it the right file?')
    const bytes = Buffer.alloc(size)
    for (let offset = 0; offset < size; ) {
      const read = readSync(file, bytes, offset, size - offset, null)
      if (read === 0) break
      offset += read
    }
    return bytes
  } finally {
    closeSync(file)
  }
}

/** A passphrase or PIN: the file without its last line break. */
export function readSecretLine(path: string): Buffer {
  const bytes = readSecretFile(path)
  const end = bytes.at(-1) === 0x0a ? (bytes.at(-2) === 0x0d ? -2 : -1) : bytes.length
  const line = bytes.subarray(0, end)
  if (line.length === 0)
    throw new SecretFileError('secret_file_empty', `${path} is empty`, 'write the secret into it first')
  return line
}

function openSecretFile(path: string): number {
  try {
    return openSync(path, 'r')
  } catch (error) {
    const missing = error instanceof Error && 'code' in error && error.code === 'ENOENT'
    throw new SecretFileError(
      missing ? 'secret_file_missing' : 'secret_file_unreadable',
      missing ? `${path} does not exist` : `${path} cannot be read`,
      missing ? `make it with: (umask 077 && openssl rand -base64 24 > ${path})` : 'check its owner',
      { cause: error },
    )
  }
}
