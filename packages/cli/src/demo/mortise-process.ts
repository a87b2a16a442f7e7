import { type ChildProcess, spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'

const MORTISE = fileURLToPath(new URL('../../bin/mortise', import.meta.url))
const END_TIMEOUT_MS = 10_000

/**
 * A command of Mortise that ends with this process, however that ends: it holds the other end of a pipe, as the child of a
 * launcher does (bin/mortise).
 */
export function startMortise(words: readonly string[], output: 'ignore' | 'pipe'): ChildProcess {
  // With this option a process of the trust boundary need not begin anew, by which it would lose the pipe.
  return spawn(process.execPath, ['--disable-sigusr1', MORTISE, ...words], {
    stdio: ['ignore', output, output, 'pipe'],
    env: { ...process.env, MORTISE_LAUNCHER_FD: '3' },
  })
}

export interface Ended {
  /** Null when a signal ended it. */
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

/** What a command said, when it has ended. */
export async function ended(child: ChildProcess): Promise<Ended> {
  const said = { stdout: '', stderr: '' }
  child.stdout?.setEncoding('utf8').on('data', (text: string) => (said.stdout += text))
  child.stderr?.setEncoding('utf8').on('data', (text: string) => (said.stderr += text))
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once('error', reject)
    child.once('close', resolve)
  })
  return { code, ...said }
}

/** Lets a process end in order; one that does not is ended by force. */
export async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  await new Promise<void>((resolve) => {
    const timer = setTimeout(() => child.kill('SIGKILL'), END_TIMEOUT_MS)
    child.once('exit', () => {
      clearTimeout(timer)
      resolve()
    })
    child.kill('SIGTERM')
  })
}
