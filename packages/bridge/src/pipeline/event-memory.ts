import type { Reading } from '@mortise/application-server'
import type { NetworkEvent, ReceivedEvent } from '../network-event.ts'
import type { Message } from '../sink.ts'

/** What is known of an event beside the disk. */
export interface RememberedEvent {
  readonly seq: number
  readonly event: ReceivedEvent
  readonly network: NetworkEvent
  readonly receivedAtMs: number
  /** The bits of the sinks that have it. */
  delivered: number
  /** An uplink in clear, after it was opened. */
  reading?: Reading | undefined
  /** As the sinks get it: made once for all of them. */
  message?: Promise<Message | undefined> | undefined
}

const MAX_EVENTS = 8192
const MAX_BODY_BYTES = 16 * 2 ** 20

/**
 * The newest events that wait, parsed, and in clear after they were opened: what a sink takes soon need not be read and
 * opened again. A sink that lags behind reads from disk.
 */
export class EventMemory {
  readonly #events = new Map<number, RememberedEvent>()
  #bytes = 0

  get(seq: number): RememberedEvent | undefined {
    return this.#events.get(seq)
  }

  put(event: RememberedEvent): void {
    this.remove(event.seq)
    this.#events.set(event.seq, event)
    this.#bytes += event.event.body.length
    for (const oldest of this.#events.keys()) {
      if (this.#events.size <= MAX_EVENTS && this.#bytes <= MAX_BODY_BYTES) break
      this.remove(oldest)
    }
  }

  remove(seq: number): void {
    const known = this.#events.get(seq)
    if (known === undefined) return
    this.#bytes -= known.event.body.length
    this.#events.delete(seq)
  }
}
