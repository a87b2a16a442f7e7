import { spawn } from 'node:child_process'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import { CliError } from '../errors.ts'

export const MORTISE = fileURLToPath(new URL('../../bin/mortise', import.meta.url))

/** Runs a program of this benchmark to its end. `onOutput` sees what it prints. @throws CliError bench_failed */
export async function runNode(
  args: readonly string[],
  environment: NodeJS.ProcessEnv,
  onOutput: (text: string) => void = () => undefined,
): Promise<void> {
  const child = spawn(process.execPath, args, { env: environment, stdio: ['ignore', 'pipe', 'pipe'] })
  child.stdout.on('data', (chunk: Buffer) => {
    onOutput(chunk.toString())
  })
  const ended = new Promise<number | null>((resolve, reject) => {
    child.once('error', reject)
    child.once('close', resolve)
  })
  const [code, stderr] = await Promise.all([ended, text(child.stderr)])
  if (code !== 0) throw new CliError('bench_failed', `${args.join(' ')} failed: ${stderr.trim()}`)
}

/** A command as an operator gives it. @throws CliError bench_failed */
export async function runMortise(words: readonly string[], environment: NodeJS.ProcessEnv): Promise<void> {
  await runNode([MORTISE, ...words], environment)
}
