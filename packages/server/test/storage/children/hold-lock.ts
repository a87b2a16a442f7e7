import { writeSync } from 'node:fs'
import { acquireDirectoryLock } from '../../../src/lock/index.ts'

/**
 * Takes the lock of the directory that is its first argument, waiting for as many milliseconds as the second says; says
 * `locked` (or the code of the failure), and stays.
 */
try {
  const lock = acquireDirectoryLock(process.argv[2] ?? '', Number(process.argv[3] ?? 0))
  // A lock that nothing refers to is freed when the garbage is collected.
  process.once('exit', () => {
    lock[Symbol.dispose]()
  })
  writeSync(1, 'locked\n')
} catch (error) {
  writeSync(1, `${error instanceof Error && 'code' in error ? String(error.code) : String(error)}\n`)
}
process.stdin.resume()
