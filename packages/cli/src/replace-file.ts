import { chownSync, renameSync, rmSync, statSync } from 'node:fs'
import { dirname } from 'node:path'
import { writeNewFile } from './files.ts'

/**
 * Puts content in the place of a file, 0600, at once and whole. It belongs to whom the old one belonged to, or the
 * directory: root may do for the server's user what that one can then read.
 */
export function replaceFile(path: string, content: string): void {
  const { uid, gid } = statSync(path, { throwIfNoEntry: false }) ?? statSync(dirname(path))
  const unfinished = `${path}.new`
  rmSync(unfinished, { force: true })
  writeNewFile(unfinished, content)
  if (process.getuid?.() === 0) chownSync(unfinished, uid, gid)
  renameSync(unfinished, path)
}
