import { closeSync, fsyncSync, mkdirSync, openSync } from 'node:fs'
import { dirname } from 'node:path'

const FILE_MODE = 0o600
const DIRECTORY_MODE = 0o700

/**
 * Makes an empty file that nobody else may read, unless it is there; SQLite would make it with the umask's mode. A file
 * that is there is not opened: closing it would free the locks that this process has on it.
 */
export function createForThisUser(path: string): void {
  mkdirSync(dirname(path), { recursive: true, mode: DIRECTORY_MODE })
  try {
    closeSync(openSync(path, 'wx', FILE_MODE))
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'EEXIST') return
    throw error
  }
  const directory = openSync(dirname(path), 'r')
  try {
    fsyncSync(directory)
  } finally {
    closeSync(directory)
  }
}
