/** What became of one message that was handed on. */
interface Entry {
  /** Absent for QoS 0, which nobody acknowledges. */
  readonly packetId: number | undefined
  state: 'under_way' | 'taken' | 'refused'
}

/**
 * Which messages may be acknowledged. Several are under way at once, so that one write to disk can do for all of them; a
 * client must all the same acknowledge in the order in which messages came (MQTT 5.0 §4.6, MQTT-4.6.0-2). After one that
 * was refused nothing is acknowledged any more.
 */
export class Acknowledgements {
  readonly #entries: Entry[] = []
  #refused = false

  /** Messages under way, and those taken that wait for one before them. */
  get size(): number {
    return this.#entries.length
  }

  /** Whether every message before the first refused one was taken. */
  get endedByRefusal(): boolean {
    return this.#entries[0]?.state === 'refused'
  }

  /** Whether some message was refused. */
  get refused(): boolean {
    return this.#refused
  }

  add(packetId: number | undefined): { taken(): void; refused(): void } {
    const entry: Entry = { packetId, state: 'under_way' }
    this.#entries.push(entry)
    return {
      taken: () => {
        entry.state = 'taken'
      },
      refused: () => {
        entry.state = 'refused'
        this.#refused = true
      },
    }
  }

  /** Packet identifiers to acknowledge now, in their order; each is given once. */
  next(): number[] {
    const packetIds: number[] = []
    for (let head = this.#entries[0]; head?.state === 'taken'; head = this.#entries[0]) {
      if (head.packetId !== undefined) packetIds.push(head.packetId)
      this.#entries.shift()
    }
    return packetIds
  }
}

const PUBACK = 0x40

/** PUBACK packets of success in one piece; the shortest form is the same in MQTT 3.1.1 (§3.4) and 5.0 (§3.4.2.1). */
export function encodePubacks(packetIds: readonly number[]): Buffer {
  const bytes = Buffer.alloc(4 * packetIds.length)
  for (const [index, packetId] of packetIds.entries()) {
    bytes.writeUInt8(PUBACK, 4 * index)
    bytes.writeUInt8(2, 4 * index + 1)
    bytes.writeUInt16BE(packetId, 4 * index + 2)
  }
  return bytes
}
