import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import type { Report, Run } from './run.ts'
import type { TargetName } from './targets.ts'

const MAIN = fileURLToPath(new URL('./child-main.ts', import.meta.url))

/** As `fuzz`, in another process. @throws Error when it cannot even set up */
export async function fuzzInChild(target: TargetName, runs: readonly Run[]): Promise<Report> {
  const child = spawn(process.execPath, [MAIN, JSON.stringify({ target, runs })], { stdio: ['ignore', 'pipe', 'pipe'] })
  const closed = once(child, 'close')
  const [output, errors] = await Promise.all([text(child.stdout), text(child.stderr), closed])
  if (child.exitCode !== 0) throw new Error(`${target} could not be fuzzed: ${errors}`)
  return JSON.parse(output) as Report
}
