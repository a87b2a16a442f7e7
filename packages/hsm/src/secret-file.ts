import { closeSync, constants, fstatSync, openSync, readSync, type Stats } from 'node:fs'

export type SecretFileErrorCode =
  | 'secret_file_missing'
  | 'secret_file_unreadable'
  | 'secret_file_exposed'
  | 'secret_file_empty'
  | 'secret_file_of_other_kind'
  | 'secret_refused'

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
const ACCESS_OF_OTHERS = 0o077
const CHECK_THE_NAME = 'check the name of the file'

/**
 * Reads a file that holds a secret. Nobody but its owner may have any access to it (mode 0600 or stricter).
 * @param hint the next step where the file is missing, empty or no file: it depends on what the file is for
 * @throws SecretFileError
 */
export function readSecretFile(path: string, hint = CHECK_THE_NAME): Buffer {
  const file = openSecretFile(path, hint)
  try {
    // The open file is examined, not the path: it cannot be exchanged in between.
    const stats = fstatSync(file)
    refuseUnfit(path, stats, hint)
    const { size } = stats
    if (size === 0) throw emptyFile(path, hint)
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

/** A passphrase or PIN: the file without its last line break. @throws SecretFileError */
export function readSecretLine(path: string, hint = CHECK_THE_NAME): Buffer {
  const bytes = readSecretFile(path, hint)
  const end = bytes.at(-1) === 0x0a ? (bytes.at(-2) === 0x0d ? -2 : -1) : bytes.length
  const line = bytes.subarray(0, end)
  if (line.length === 0) throw emptyFile(path, hint)
  return line
}

/**
 * Refuses what is no regular file, and what others have access to.
 * @throws SecretFileError
 */
export function refuseUnfit(path: string, stats: Pick<Stats, 'isFile' | 'mode'>, hint: string): void {
  // Before the mode: nobody should be told to close /tmp to others.
  if (!stats.isFile()) throw new SecretFileError('secret_file_unreadable', `${path} is not a regular file`, hint)
  // Windows has no such modes.
  if (process.platform !== 'win32' && (stats.mode & ACCESS_OF_OTHERS) !== 0)
    throw new SecretFileError('secret_file_exposed', `${path} can be read by others`, `chmod 600 ${path}`)
}

function emptyFile(path: string, hint: string): SecretFileError {
  return new SecretFileError('secret_file_empty', `${path} is empty`, hint)
}

function openSecretFile(path: string, hint: string): number {
  try {
    // A named pipe would otherwise be waited for.
    return openSync(path, constants.O_RDONLY | constants.O_NONBLOCK)
  } catch (error) {
    const missing = error instanceof Error && 'code' in error && error.code === 'ENOENT'
    throw new SecretFileError(
      missing ? 'secret_file_missing' : 'secret_file_unreadable',
      missing ? `${path} does not exist` : `${path} cannot be read`,
      missing ? hint : 'check its owner',
      { cause: error },
    )
  }
}
