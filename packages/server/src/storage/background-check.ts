import { spawn } from 'node:child_process'
import { setPriority } from 'node:os'
import { fileURLToPath } from 'node:url'
import { StorageError } from './ports.ts'

const CHECK_MAIN = fileURLToPath(new URL('sqlite/check-main.ts', import.meta.url))
/** The lowest: joins go first. */
const PRIORITY = 19
/** Rows leave garbage quickly: collected late, it would take more memory than the server has. */
const MEMORY_OPTIONS = ['--max-old-space-size=48', '--max-semi-space-size=1']

export interface BackgroundCheckPort {
  /** The database is damaged. */
  damaged(error: StorageError): void
  log(line: string): void
}

/**
 * Looks through a whole database that is too large to be checked before it is used, in a process of its own, which ends
 * when this is disposed.
 */
export function checkInBackground(path: string, port: BackgroundCheckPort): Disposable {
  const started = performance.now()
  // It needs no environment, and is given none.
  const command = [...MEMORY_OPTIONS, CHECK_MAIN, path]
  const child = spawn(process.execPath, command, { stdio: ['ignore', 'pipe', 'inherit'], env: {} })
  let output = ''
  let disposed = false
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => (output += chunk))
  child.on('spawn', () => {
    lowerPriority(child.pid)
  })
  child.on('error', (error) => {
    port.log(`the database could not be checked: ${error.message}`)
  })
  child.on('close', (code, signal) => {
    if (disposed) return
    if (code !== 0) {
      port.log(`the check of the database did not come to its end (${signal ?? `exit code ${code ?? 'unknown'}`})`)
      return
    }
    const { finding } = JSON.parse(output) as { finding?: string }
    if (finding !== undefined) port.damaged(new StorageError('database_corrupt', finding))
    else port.log(`the whole database was checked in ${((performance.now() - started) / 1000).toFixed(1)} s`)
  })
  return {
    [Symbol.dispose]() {
      disposed = true
      child.kill('SIGKILL')
    },
  }
}

function lowerPriority(pid: number | undefined): void {
  try {
    if (pid !== undefined) setPriority(pid, PRIORITY)
  } catch {
    // It has ended meanwhile.
  }
}
