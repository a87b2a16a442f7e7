import { type ChildProcessByStdio, spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { createInterface } from 'node:readline'
import type { Readable, Writable } from 'node:stream'

export interface Child extends AsyncDisposable {
  readonly process: ChildProcessByStdio<Writable, Readable, null>
  /** Its lines on standard output, one at a time; undefined at the end. */
  nextLine(): Promise<string | undefined>
  /** `kill -9`, and the wait for its end. */
  kill(): Promise<void>
}

/** Starts a program of this folder with Node. */
export function startChild(name: 'commit-joins' | 'hold-lock', ...args: string[]): Child {
  const program = fileURLToPath(new URL(`${name}.ts`, import.meta.url))
  const child = spawn(process.execPath, [program, ...args], { stdio: ['pipe', 'pipe', 'inherit'] })
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  async function kill(): Promise<void> {
    if (child.exitCode !== null || child.signalCode !== null) return
    child.kill('SIGKILL')
    await once(child, 'exit')
  }
  return {
    process: child,
    async nextLine() {
      const { value, done } = await lines.next()
      return done === true ? undefined : value
    },
    kill,
    [Symbol.asyncDispose]: kill,
  }
}
