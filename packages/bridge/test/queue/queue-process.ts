/**
 * A process with a queue, for queue-processes.test.ts: `node queue-process.ts DIRECTORY PREFIX` appends events one after
 * the other for ever, and prints the topic of each that is safe. Every other one is delivered. When one is refused, it
 * prints the code, delivers one of those that wait, and says when it has gone.
 */
import { writeSync } from 'node:fs'
import { BridgeError } from '../../src/errors.ts'
import { append, open } from './open.ts'

const [directory = '', prefix = ''] = process.argv.slice(2)
const queue = open(directory, { maxEvents: 1e6, maxBytes: 2 ** 30 })
/** At once and not through a stream: what was printed is safe. */
const print = (line: string): void => void writeSync(1, `${line}\n`)
const waiting: number[] = []
print('ready')
for (let n = 0; ; n++) {
  const name = `${prefix}${n} ${'x'.repeat(400)}`
  try {
    const seq = await append(queue, name)
    print(`kept network/${name}`)
    if (n % 2 === 1) await queue.delivered(seq, 1)
    else waiting.push(seq)
  } catch (error) {
    print(`refused ${error instanceof BridgeError ? error.code : String(error)} ${queue.problem ?? 'no problem'}`)
    await deliverOne()
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}

async function deliverOne(): Promise<void> {
  const [seq] = waiting
  const topic = seq === undefined ? undefined : queue.read(seq)?.event.topic
  if (seq === undefined || topic === undefined) return
  print(`delivered ${topic}`)
  await queue.delivered(seq, 1)
  waiting.shift()
  if (queue.read(seq) === undefined) print(`gone ${topic}`)
}
