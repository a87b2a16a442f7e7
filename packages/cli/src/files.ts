import { type FileHandle, open } from 'node:fs/promises'
import { closeSync, constants, existsSync, fstatSync, openSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { refuseUnfit, SecretFileError } from '@mortise/hsm'
import { CliError, errorCode } from './errors.ts'

const PRIVATE_FILE = 0o600

/**
 * A file is never the reason to make directories: a medium that is not mounted would go unnoticed.
 * @throws CliError directory_missing
 */
export function requireParent(path: string): void {
  const parent = dirname(path)
  if (statSync(parent, { throwIfNoEntry: false })?.isDirectory() === true) return
  throw new CliError('directory_missing', `${parent} is not a directory, so ${path} cannot be made in it`, {
    hint: `is the name right, and the medium mounted? Else: mkdir -p ${parent}`,
  })
}

/** Writes a file that its owner alone may read. Never over one that is there. @throws CliError file_exists */
export function writeNewFile(path: string, content: string | Uint8Array): void {
  try {
    writeFileSync(path, content, { mode: PRIVATE_FILE, flag: 'wx', flush: true })
  } catch (error) {
    if (errorCode(error) !== 'EEXIST') throw error
    throw new CliError('file_exists', `${path} is there already`, { hint: 'move it away, or name another file' })
  }
}

/** Certificates, keys and configurations are a few kilobytes. */
const MAX_SMALL_FILE_BYTES = 1_048_576

/**
 * Text of a small file that somebody else may have named: a pipe or a device would never end, and is not read.
 * @throws Error of the operating system; EFBIG for what is too large, EINVAL for what is no file
 */
export function readSmallFile(path: string): string {
  const file = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK)
  try {
    const stat = fstatSync(file)
    const code = stat.isDirectory() ? 'EISDIR' : 'EINVAL'
    if (!stat.isFile()) throw Object.assign(new Error(`${path} is not a file`), { code })
    if (stat.size > MAX_SMALL_FILE_BYTES) throw Object.assign(new Error(`${path} is too large`), { code: 'EFBIG' })
    return readFileSync(file, 'utf8')
  } finally {
    closeSync(file)
  }
}

/** Text of a file that holds no secret. @throws CliError file_missing, file_unreadable */
export function readTextFile(path: string, what: string, hint: string): string {
  try {
    return readSmallFile(path)
  } catch (error) {
    throw unreadable(error, path, what, hint)
  }
}

/** Opens a file that holds keys to be read as a stream; nobody but its owner may have access to it. */
export async function openSecretStream(path: string): Promise<FileHandle> {
  let file: FileHandle
  try {
    file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK)
  } catch (error) {
    throw unreadable(error, path, 'the device file', 'check its name and its owner')
  }
  try {
    // The open file is examined, not the path: it cannot be exchanged in between.
    refuseUnfit(path, await file.stat(), 'name a file with one device a line, in JSON')
  } catch (error) {
    await file.close()
    throw error
  }
  return file
}

/** For a file that another process is to read: the same refusals, without reading it. */
export function checkSecretFile(path: string, hint: string): void {
  if (!existsSync(path)) throw new SecretFileError('secret_file_missing', `${path} does not exist`, hint)
  refuseUnfit(path, statSync(path), hint)
}

function unreadable(error: unknown, path: string, what: string, hint: string): CliError {
  return errorCode(error) === 'ENOENT'
    ? new CliError('file_missing', `${what} ${path} does not exist`, { hint, cause: error })
    : new CliError('file_unreadable', `${what} ${path} cannot be read`, { hint, cause: error })
}
