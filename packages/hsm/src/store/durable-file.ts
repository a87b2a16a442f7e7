import { closeSync, fsyncSync, openSync, readSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { HsmError } from '../errors.ts'

/**
 * Replaces a file so that a crash leaves the old content or the new one, and a return means that the new one is on the
 * disk. One writer at a time, which the lock of the data directory sees to; what a killed writer left beside is
 * overwritten by the next.
 */
export function writeDurably(path: string, bytes: Uint8Array, mode = 0o600): void {
  const temporary = `${path}.new`
  // Removed rather than truncated: a file or link that lies there must not lend its owner or permissions.
  rmSync(temporary, { force: true })
  try {
    const file = openSync(temporary, 'wx', mode)
    try {
      writeFileSync(file, bytes)
      fsyncSync(file)
    } finally {
      closeSync(file)
    }
    renameSync(temporary, path)
  } catch (error) {
    rmSync(temporary, { force: true })
    throw error
  }
  syncDirectory(dirname(path))
}

/** A rename is durable only when the directory is. */
function syncDirectory(path: string): void {
  const directory = openSync(path, 'r')
  try {
    fsyncSync(directory)
  } finally {
    closeSync(directory)
  }
}

/**
 * Reads a whole file of at most `maxBytes`.
 * @throws HsmError store_damaged if it is longer; Error with `code` (ENOENT, EACCES...) if it cannot be read
 */
export function readLimited(path: string, maxBytes: number): Buffer {
  const file = openSync(path, 'r')
  try {
    return readWhole(file, maxBytes)
  } finally {
    closeSync(file)
  }
}

function readWhole(file: number, maxBytes: number): Buffer {
  const chunks: Buffer[] = []
  let total = 0
  for (;;) {
    const chunk = Buffer.alloc(Math.min(64 * 1024, maxBytes + 1 - total))
    const read = readSync(file, chunk)
    if (read === 0) return Buffer.concat(chunks)
    total += read
    if (total > maxBytes) throw new HsmError('store_damaged', `file is larger than ${maxBytes} bytes`)
    chunks.push(chunk.subarray(0, read))
  }
}
