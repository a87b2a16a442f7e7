import { DatabaseSync } from 'node:sqlite'
import { type ReceiptHead, splitReceipts } from '@mortise/hsm'
import type { DevEui } from '@mortise/lorawan'
import { openDatabase, type Storage } from '@mortise/server'

/** The last word of the database about a key set. */
export interface StoredKeySet {
  readonly devEui: DevEui
  readonly record: Buffer
  /** 0 before the first join. */
  readonly lastJoinNonce: number
  readonly sessionJoinNonces: readonly number[]
}

export interface StoredOrder {
  readonly orderId: number
  readonly state: string
  readonly code: string | undefined
  readonly text: Buffer
}

export interface DatabaseContent {
  /** `ok`, or what `PRAGMA integrity_check` found. */
  readonly integrity: string
  readonly keySets: readonly StoredKeySet[]
  /** Each once, although a worker sends some again. */
  readonly receipts: readonly Buffer[]
  readonly heads: readonly ReceiptHead[]
  /** In the order of their submission. */
  readonly orders: readonly StoredOrder[]
}

type Row = Record<string, unknown>

const ORDER_STATES = ['waiting', 'adopted', 'refused'] as const
const MAX_ORDERS = 1000

/** Reads what a stopped server has left: by its own readers, and the evidence that they do not read with SQLite alone. */
export function readDatabase(path: string, devEuis: readonly DevEui[], hsmId: Buffer): DatabaseContent {
  using storage = openDatabase(path, { readOnly: true })
  const orders = ORDER_STATES.flatMap((state) => storage.administration.listOrders(state, MAX_ORDERS))
  const keySets = devEuis.flatMap((devEui) => storedKeySets(storage, devEui))
  return { keySets, orders: orders.sort((a, b) => a.orderId - b.orderId), ...readEvidence(path, hsmId) }
}

function storedKeySets({ administration }: Storage, devEui: DevEui): StoredKeySet[] {
  const keySets = administration.findDevices(devEui).flatMap((device) => device.keySets)
  return keySets.map(({ keySet, record, state }) => ({
    devEui,
    record,
    lastJoinNonce: state?.lastJoinNonce ?? 0,
    sessionJoinNonces: administration.listSessions(keySet).map(({ joinNonce }) => joinNonce),
  }))
}

function readEvidence(path: string, hsmId: Buffer): Pick<DatabaseContent, 'integrity' | 'receipts' | 'heads'> {
  const database = new DatabaseSync(path, { readOnly: true })
  try {
    const all = (sql: string): Row[] => database.prepare(sql).all()
    const bodies = all('SELECT bodies FROM receipt').flatMap((row) => splitReceipts(bytesOf(row, 'bodies')))
    return {
      integrity: all('PRAGMA integrity_check')
        .map((row) => String(row['integrity_check']))
        .join('; '),
      receipts: [...new Map(bodies.map((body) => [body.toString('latin1'), body])).values()],
      heads: all('SELECT * FROM receipt_head').map((row) => ({
        hsmId,
        bootEpoch: numberOf(row, 'boot_epoch'),
        worker: numberOf(row, 'worker'),
        sequence: numberOf(row, 'sequence'),
        hash: bytesOf(row, 'hash'),
        closing: row['closing'] === 1,
        signature: bytesOf(row, 'signature'),
      })),
    }
  } finally {
    database.close()
  }
}

function numberOf(row: Row, column: string): number {
  const value = row[column]
  if (typeof value !== 'number') throw new TypeError(`${column} is no number`)
  return value
}

function bytesOf(row: Row, column: string): Buffer {
  const value = row[column]
  if (!(value instanceof Uint8Array)) throw new TypeError(`${column} is no blob`)
  return Buffer.from(value)
}
