import { execFileSync } from 'node:child_process'
import { closeSync, mkdtempSync, openSync, readdirSync, rmSync, statSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import type { Installation } from './installation.ts'

/** Space on the disk that can be taken away from running processes, and be given back. */
export interface LimitedDisk extends Disposable {
  readonly kind: 'a full file system' | 'a limit of file sizes'
  /** `pid` and its descendants write no more from now on: `paths` are the files that must not grow. */
  take(pid: number, ...paths: string[]): void
  give(pid: number): void
}

/** A file system of its own for a directory of an installation, where one may be mounted; a limit of file sizes elsewhere. */
export function limitDisk(installation: Installation, directory: string, megabytes: number): LimitedDisk {
  return smallFileSystem(installation, directory, megabytes) ?? fileSizeLimit()
}

/**
 * Puts what is in the directory on a file system in memory, and back in the end. Undefined where this process may not
 * mount one.
 */
function smallFileSystem(installation: Installation, directory: string, megabytes: number): LimitedDisk | undefined {
  const copy = mkdtempSync(join(installation.root, 'copy-'))
  copyContent(directory, copy)
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${megabytes}m,mode=700`, 'tmpfs', directory], { stdio: 'ignore' })
  } catch {
    return undefined
  }
  copyContent(copy, directory)
  const filler = join(directory, 'filler')
  return {
    kind: 'a full file system',
    take: () => {
      fill(filler)
    },
    give: () => {
      rmSync(filler)
    },
    [Symbol.dispose]() {
      rmSync(filler, { force: true })
      copyContent(directory, copy)
      execFileSync('umount', ['--lazy', directory])
      copyContent(copy, directory)
    },
  }
}

/** With modes and owners; what is there and not in `from` goes. */
function copyContent(from: string, to: string): void {
  for (const name of readdirSync(to)) rmSync(join(to, name), { recursive: true })
  execFileSync('cp', ['-a', `${from}/.`, to])
}

/** Takes all the space that is left. */
function fill(path: string): void {
  const file = openSync(path, 'w')
  try {
    for (const size of [1024 * 1024, 4096, 1]) writeUntilFull(file, Buffer.alloc(size))
  } finally {
    closeSync(file)
  }
}

function writeUntilFull(file: number, bytes: Buffer): void {
  try {
    for (;;) writeSync(file, bytes)
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ENOSPC')) throw error
  }
}

/** RLIMIT_FSIZE, which needs no privilege: a write beyond the size that a file has fails with EFBIG. */
export function fileSizeLimit(): LimitedDisk {
  return {
    kind: 'a limit of file sizes',
    take: (pid, ...paths) => {
      const sizes = paths.map((path) => statSync(path, { throwIfNoEntry: false })?.size ?? 0)
      setLimit(pid, String(Math.max(512, ...sizes)))
    },
    give: (pid) => {
      setLimit(pid, 'unlimited')
    },
    [Symbol.dispose]: () => undefined,
  }
}

function setLimit(pid: number, size: string): void {
  execFileSync('prlimit', ['--pid', String(pid), `--fsize=${size}:`])
}
