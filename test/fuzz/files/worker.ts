import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parentPort, workerData } from 'node:worker_threads'
import { demand, OracleFailure } from '../failure.ts'
import { Random } from '../random.ts'
import { SecretScanner } from '../secret-scanner.ts'
import { cliKinds } from './cli-kinds.ts'
import type { FileAnswer, FileQuestion } from './messages.ts'
import { runFileCase } from './run-case.ts'
import { HSM_KINDS } from './hsm-kinds.ts'
import { FILE_SECRETS } from './seeds.ts'

/**
 * Reads files in a thread of its own, so that one that never comes to an end, or takes all memory, is seen from outside.
 * Asked by the index of a case, answers with what became of it.
 */
const { seed } = workerData as { seed: number }
const directory = mkdtempSync(join(tmpdir(), 'mortise-fuzz-'))
const kinds = [...cliKinds(directory), ...HSM_KINDS]
const scanner = new SecretScanner(FILE_SECRETS)

/** What Node prints on standard error although nobody asked for it. */
const warnings: Error[] = []
process.on('warning', (warning) => warnings.push(warning))

async function answer({ index }: FileQuestion): Promise<FileAnswer> {
  let input = Buffer.alloc(0)
  try {
    const keep = (bytes: Buffer): void => {
      input = Buffer.from(bytes)
    }
    const outcome = await runFileCase(new Random(seed, index), kinds, scanner, keep)
    await new Promise(setImmediate)
    const [warning] = warnings.splice(0)
    demand(warning === undefined, 'warning', `${outcome.kind}: ${warning?.message ?? ''}`)
    return { index, ...outcome }
  } catch (error) {
    const code = error instanceof OracleFailure ? error.code : 'unexpected'
    const detail = error instanceof OracleFailure ? error.detail : String(error instanceof Error ? error.stack : error)
    return { index, failure: { code, detail }, input }
  }
}

/** One after another: a file of one name is read at a time. */
let turn: Promise<unknown> = Promise.resolve()

parentPort?.on('message', (question: FileQuestion | 'end') => {
  if (question !== 'end') {
    turn = turn.then(() => answer(question)).then((answered) => parentPort?.postMessage(answered))
    return
  }
  rmSync(directory, { recursive: true })
  parentPort?.close()
})
