import { randomBytes } from 'node:crypto'
import { openDatabase } from '../../../src/storage/index.ts'

/**
 * After a first write begins two more, the second of them while the log is synced for the other, and a fourth after
 * both; writes a line with the outcome of each. Argument: path.
 */
const storage = openDatabase(process.argv[2] ?? '')

function recordHead(sequence: number): Promise<void> {
  const head = { bootEpoch: 7, worker: 2, sequence, closing: false }
  return storage.administration.recordHeads([{ ...head, hash: randomBytes(32), signature: randomBytes(64) }])
}

function outcomeOf(result: PromiseSettledResult<void>): string {
  if (result.status === 'fulfilled') return 'durable'
  const { reason } = result as { reason: unknown }
  return reason instanceof Error && 'code' in reason ? String(reason.code) : String(reason)
}

const [first] = await Promise.allSettled([recordHead(1)])
const overlapping = await Promise.allSettled([recordHead(2), recordHead(3)])
const [after] = await Promise.allSettled([recordHead(4)])
process.stdout.write([first, ...overlapping, after].map((result) => `${outcomeOf(result)}\n`).join(''))
// Without closing the database: what the disk has is not known.
process.exitCode = 0
