import type { DatabaseSync, StatementSync } from 'node:sqlite'
import type { DevEui } from '@mortise/lorawan'
import type { ReceivedEvent } from '../network-event.ts'
import { addressFrom, type DeviceAddress, SELECT_ADDRESS } from './device-addresses.ts'
import { assignBits } from './sink-bits.ts'

/** What an event tells of its device for downlinks. */
export interface DeviceNote {
  readonly devEui: DevEui
  readonly address: string
  readonly profile?: string | undefined
}

export interface NewEvent {
  /** 32 hexadecimal digits. */
  readonly id: string
  readonly event: ReceivedEvent
  readonly device: DeviceNote | undefined
  /** Bytes that count for the bound. */
  readonly size: number
  readonly receivedAtMs: number
}

/** An event on disk. */
export interface WaitingEvent {
  readonly event: ReceivedEvent
  readonly receivedAtMs: number
  /** The bits of the sinks that have it. */
  readonly delivered: number
}

/** What happened in one turn of the event loop. */
export interface Batch {
  readonly appends: readonly NewEvent[]
  /** Events by number, with the bits of the sinks that have them now. */
  readonly delivered: ReadonlyMap<number, number>
}

export interface Committed {
  /** For each append its number, or that an event of its id waits already. */
  readonly seqs: readonly (number | 'copy')[]
  /** By how much more events and bytes wait, or fewer. */
  readonly events: number
  readonly bytes: number
}

/** As many as sessions are kept of. A network can name as many devices as it likes; further ones get no downlinks. */
const MAX_DEVICES = 1_000_000

/** The bits of all sinks: an event that has them is done with. */
export const EVERY_SINK = 0x7fffffff

/** The queue's SQL. Numbers rise in the order of arrival. */
export class QueueTable {
  readonly #database: DatabaseSync
  readonly #statements: Statements
  #nextSeq = 1
  #devices: number
  #durable = true
  /** The bit of each sink, in the order of its names. */
  readonly bits: readonly number[]
  readonly #all: number

  constructor(database: DatabaseSync, sinks: readonly string[]) {
    this.#database = database
    this.bits = this.#transaction(true, () => assignBits(database, sinks))
    this.#all = this.bits.reduce((all, bit) => all | bit, 0)
    this.#statements = prepare(database)
    this.#devices = Number(this.#statements.countDevices.get()?.['devices'])
  }

  /** The numbers of all events that wait, ascending, and how many bytes they have. */
  scan(): { readonly seqs: number[]; readonly bytes: number } {
    const seqs: number[] = []
    let bytes = 0
    for (const { seq, size } of this.#statements.scan.iterate()) {
      seqs.push(Number(seq))
      bytes += Number(size)
    }
    this.#nextSeq = (seqs.at(-1) ?? 0) + 1
    return { seqs, bytes }
  }

  /** One transaction. It waits for the disk where something is new; what was delivered may be delivered once more. */
  write({ appends, delivered }: Batch): Committed {
    const [first, devices] = [this.#nextSeq, this.#devices]
    try {
      return this.#transaction(appends.length > 0, () => {
        const added = appends.map((append) => this.#insert(append))
        let [events, bytes] = [0, 0]
        for (const [n, seq] of added.entries()) {
          if (seq === 'copy') continue
          events++
          bytes += appends[n]?.size ?? 0
        }
        for (const [seq, bits] of delivered) {
          const freed = this.#deliver(seq, bits)
          if (freed === undefined) continue
          events--
          bytes -= freed
        }
        return { seqs: added, events, bytes }
      })
    } catch (error) {
      this.#nextSeq = first
      this.#devices = devices
      throw error
    }
  }

  /** Writes a page as it is, durably: shows whether the disk takes anything. */
  probe(): void {
    this.#transaction(true, () => {
      this.#statements.probe.run()
    })
  }

  /** Moves the log into the file, so that a full disk has the log's space for what is deleted next. */
  reuseLog(): void {
    this.#database.exec('PRAGMA wal_checkpoint(PASSIVE)')
  }

  read(seq: number): WaitingEvent | undefined {
    const row = this.#statements.read.get(seq)
    if (row === undefined) return undefined
    const { topic, body, received_at_ms: receivedAtMs, delivered } = row
    if (!(body instanceof Uint8Array)) throw new TypeError('an event without a body')
    return {
      event: { topic: String(topic), body },
      receivedAtMs: Number(receivedAtMs),
      delivered: Number(delivered),
    }
  }

  addressOf(devEui: DevEui): DeviceAddress | undefined {
    return addressFrom(this.#statements.address.get(devEui))
  }

  #insert({ id, event, device, size, receivedAtMs }: NewEvent): number | 'copy' {
    const { insert } = this.#statements
    if (device !== undefined) this.#note(device)
    const seq = this.#nextSeq
    const { changes } = insert.run(seq, Buffer.from(id, 'hex'), receivedAtMs, size, event.topic, event.body)
    if (changes === 0) return 'copy'
    this.#nextSeq++
    return seq
  }

  /** Writes only what is new; a join does not tell the profile. */
  #note({ devEui, address, profile }: DeviceNote): void {
    const known = this.addressOf(devEui)
    if (known === undefined) {
      if (this.#devices >= MAX_DEVICES) return
      this.#devices++
    } else if (known.address === address && (profile === undefined || known.profile === profile)) return
    this.#statements.note.run(devEui, address, profile ?? known?.profile ?? null)
  }

  /** The bytes that became free, where no other sink waits for the event. */
  #deliver(seq: number, bits: number): number | undefined {
    const { remove, deliver } = this.#statements
    const all = (bits & this.#all) === this.#all
    const done = all || (Number(deliver.get(bits, seq)?.['delivered']) & this.#all) === this.#all
    const size = done ? remove.get(seq)?.['size'] : undefined
    return size === undefined ? undefined : Number(size)
  }

  #transaction<Result>(durable: boolean, work: () => Result): Result {
    if (durable !== this.#durable) this.#database.exec(`PRAGMA synchronous = ${durable ? 'FULL' : 'NORMAL'}`)
    this.#durable = durable
    this.#database.exec('BEGIN IMMEDIATE')
    try {
      const result = work()
      this.#database.exec('COMMIT')
      return result
    } catch (error) {
      if (this.#database.isTransaction) this.#database.exec('ROLLBACK')
      throw error
    }
  }
}

type Statements = ReturnType<typeof prepare>

function prepare(database: DatabaseSync) {
  const sql = (text: string): StatementSync => database.prepare(text)
  return {
    scan: sql('SELECT seq, size FROM event ORDER BY seq'),
    insert: sql(`INSERT INTO event (seq, id, received_at_ms, size, topic, body) VALUES (?, ?, ?, ?, ?, ?)
      ON CONFLICT (id) DO NOTHING`),
    deliver: sql('UPDATE event SET delivered = delivered | ? WHERE seq = ? RETURNING delivered'),
    remove: sql('DELETE FROM event WHERE seq = ? RETURNING size'),
    read: sql('SELECT topic, body, received_at_ms, delivered FROM event WHERE seq = ?'),
    note: sql('REPLACE INTO device VALUES (?, ?, ?)'),
    countDevices: sql('SELECT count(*) AS devices FROM device'),
    address: sql(SELECT_ADDRESS),
    probe: sql('UPDATE sink SET name = name'),
  }
}
