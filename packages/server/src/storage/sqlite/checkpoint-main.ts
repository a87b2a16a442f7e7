import { parentPort, workerData } from 'node:worker_threads'
import { Connection } from './connection.ts'
import { setUpConnection, setUpWriter } from './settings.ts'

/** What the thread is told through the first number that it shares; it puts back `none`, or `closed` at its end. */
export const CHECKPOINT_COMMAND = { none: 0, run: 1, close: 2, closed: 3 } as const

export interface CheckpointReport {
  /** In the log, moved or not. */
  readonly pages: number
  /** Why nothing was moved. */
  readonly failure: string | undefined
}

/** A second run moves what came during the first, and leaves that little which came during itself. */
const RUNS = 2

interface Order {
  readonly path: string
  readonly command: Int32Array
}

/** Waits for commands; the thread does nothing else, and so needs no event loop. */
function serve({ path, command }: Order): void {
  try {
    using connection = new Connection(path, { readOnly: false })
    setUpConnection(connection)
    setUpWriter(connection)
    while (nextCommand(command) === CHECKPOINT_COMMAND.run) parentPort?.postMessage(checkpoint(connection))
  } finally {
    Atomics.store(command, 0, CHECKPOINT_COMMAND.closed)
    Atomics.notify(command, 0)
  }
}

/** Waits for one, and takes it unless it is the last. */
function nextCommand(command: Int32Array): number {
  Atomics.wait(command, 0, CHECKPOINT_COMMAND.none)
  return Atomics.compareExchange(command, 0, CHECKPOINT_COMMAND.run, CHECKPOINT_COMMAND.none)
}

function checkpoint(connection: Connection): CheckpointReport {
  try {
    let pages = 0
    for (let run = 0; run < RUNS; run++) pages = connection.checkpoint('PASSIVE').pages
    return { pages, failure: undefined }
  } catch (error) {
    return { pages: 0, failure: error instanceof Error ? error.message : String(error) }
  }
}

if (parentPort !== null) serve(workerData as Order)
