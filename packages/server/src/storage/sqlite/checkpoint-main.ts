import { parentPort, workerData } from 'node:worker_threads'
import { CHECKPOINT_COMMAND, type CheckpointOrder, type CheckpointReport } from './checkpoint-order.ts'
import { Connection } from './connection.ts'
import { setUpConnection, setUpWriter } from './settings.ts'

/** A second run moves what came during the first, and leaves that little which came during itself. */
const RUNS = 2

/** Waits for commands; the thread does nothing else, and so needs no event loop. */
function serve({ path, command }: CheckpointOrder): void {
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

serve(workerData as CheckpointOrder)
