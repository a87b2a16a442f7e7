import { type FileHandle, open } from 'node:fs/promises'
import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { SecretFileError } from '@mortise/hsm'
import { CliError, errorCode } from './errors.ts'

const PRIVATE_FILE = 0o600
const ACCESS_OF_OTHERS = 0o077

/** Writes a file that its owner alone may read. Never over one that is there. @throws CliError file_exists */
export function writeNewFile(path: string, content: string | Uint8Array): void {
  try {
    writeFileSync(path, content, { mode: PRIVATE_FILE, flag: 'wx', flush: true })
  } catch (error) {
    if (errorCode(error) !== 'EEXIST') throw error
    throw new CliError('file_exists', `${path} is there already`, { hint: 'move it away, or name another file' })
  }
}

/** Text of a file that holds no secret. @throws CliError file_missing, file_unreadable */
export function readTextFile(path: string, what: string, hint: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    throw unreadable(error, path, what, hint)
  }
}

/** Opens a file that holds keys to be read as a stream; nobody but its owner may have access to it. */
export async function openSecretStream(path: string): Promise<FileHandle> {
  let file: FileHandle
  try {
    file = await open(path, 'r')
  } catch (error) {
    throw unreadable(error, path, 'the file', 'check its name and its owner')
  }
  // The open file is examined, not the path: it cannot be exchanged in between.
  const { mode } = await file.stat()
  if (isExposed(mode)) {
    await file.close()
    throw exposed(path)
  }
  return file
}

/** For a file that another process is to read: the same refusals, without reading it. */
export function checkSecretFile(path: string): void {
  if (!existsSync(path))
    throw new SecretFileError(
      'secret_file_missing',
      `${path} does not exist`,
      `make it with: (umask 077 && openssl rand -base64 24 > ${path})`,
    )
  if (isExposed(statSync(path).mode)) throw exposed(path)
}

function exposed(path: string): SecretFileError {
  return new SecretFileError('secret_file_exposed', `${path} can be read by others`, `chmod 600 ${path}`)
}

/** Windows has no such modes. */
function isExposed(mode: number): boolean {
  return process.platform !== 'win32' && (mode & ACCESS_OF_OTHERS) !== 0
}

function unreadable(error: unknown, path: string, what: string, hint: string): CliError {
  return errorCode(error) === 'ENOENT'
    ? new CliError('file_missing', `${what} ${path} does not exist`, { hint, cause: error })
    : new CliError('file_unreadable', `${what} ${path} cannot be read`, { hint, cause: error })
}
