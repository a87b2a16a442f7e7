/**
 * What the token alone can do, as a process: opens an HSM that nobody else has open, and has as many processes answer
 * joins as the product has workers, each with a token session of its own. Nobody keeps their receipts: an HSM with which
 * this was done shows workers whose chains are missing.
 */
import { HsmError } from '../errors.ts'
import { protectionFlags } from '../process/protect.ts'
import type { WorkerStart } from '../worker/messages.ts'
import { answerQuestions } from './answer-questions.ts'
import { AskedProcess } from './asked-process.ts'
import type { AloneDialogue, AloneWorkerDialogue } from './dialogue.ts'
import { openHsm } from './open-hsm.ts'

const WORKER_MAIN = new URL('./alone-worker-main.ts', import.meta.url)

type Worker = AskedProcess<AloneWorkerDialogue>
let workers: readonly Worker[] = []

function all<Name extends keyof AloneWorkerDialogue>(
  name: Name,
  question: AloneWorkerDialogue[Name]['question'],
): Promise<AloneWorkerDialogue[Name]['answer'][]> {
  return Promise.all(workers.map((worker) => worker.ask(name, question)))
}

answerQuestions<AloneDialogue>('mortise hsm bench alone', {
  open: ({ processes, ...files }) =>
    openHsm(
      files,
      processes,
      () => {
        if (workers.length > 0) throw new HsmError('busy', 'opened before')
      },
      async (starts) => {
        const flags = protectionFlags()
        const startOne = async (start: WorkerStart): Promise<Worker> => {
          const worker: Worker = new AskedProcess({ program: WORKER_MAIN, flags, environment: process.env })
          await worker.ask('start', start)
          return worker
        }
        workers = await Promise.all(starts.map(startOne))
        return {}
      },
    ),
  prepare: (question) => all('prepare', question),
  run: (question) => all('run', question),
  window: (question) => all('window', question),
  halt: (question) => all('halt', question),
})
