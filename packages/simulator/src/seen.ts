import { bytesToHex } from '@mortise/lorawan'

/**
 * Everything that came to the knowledge of a network server, as text: messages as they were on the wire, frames and the
 * session keys that it opened as hexadecimal.
 */
export interface SeenEntry {
  readonly kind: 'request' | 'answer' | 'frame' | 'network-session-key' | 'application-downlink'
  readonly text: string
}

/** What is kept; a test that relies on the record must see that `dropped` is 0. */
const MAX_SEEN_ENTRIES = 10_000

export class SeenLog {
  readonly #entries: SeenEntry[] = []
  #dropped = 0

  get entries(): readonly SeenEntry[] {
    return this.#entries
  }

  get dropped(): number {
    return this.#dropped
  }

  add(kind: SeenEntry['kind'], content: string | Uint8Array): void {
    if (this.#entries.length >= MAX_SEEN_ENTRIES) {
      this.#dropped++
      return
    }
    this.#entries.push({ kind, text: typeof content === 'string' ? content : bytesToHex(content) })
  }
}
