import { EventQueue, type EventQueueOptions } from '../../src/queue/index.ts'
import type { ReceivedEvent } from '../../src/network-event.ts'
import { idOf } from '../pipeline/world.ts'

export function open(directory: string, options: Partial<EventQueueOptions> = {}): EventQueue {
  return new EventQueue({ directory, sinks: ['one'], maxEvents: 1000, maxBytes: 2 ** 20, ...options })
}

export function event(name: string): ReceivedEvent {
  return { topic: `network/${name}`, body: Buffer.from(`body of ${name}`) }
}

/** The number that it got. */
export async function append(queue: EventQueue, name: string): Promise<number> {
  const seq = await queue.append(idOf(name), event(name))
  if (seq === 'copy') throw new Error('a copy')
  return seq
}

/** The topics of what waits, in the order of arrival. */
export function waiting(queue: EventQueue): (string | undefined)[] {
  return queue.waitingAtStart.map((seq) => queue.read(seq)?.event.topic)
}
