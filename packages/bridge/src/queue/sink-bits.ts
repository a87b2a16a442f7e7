import type { DatabaseSync } from 'node:sqlite'
import { BridgeError } from '../errors.ts'

/** A bit of a 32-bit integer stands for each sink, and the sign is left alone. */
export const MAX_SINKS = 31

/**
 * The bits that say of an event which sinks have it: one for each name, the same as before. A sink that is no more among
 * the names is forgotten, and what waited for it alone goes. To be called in a transaction.
 * @throws {BridgeError} `config_invalid`: two sinks of one name, none, or more than 31
 */
export function assignBits(database: DatabaseSync, names: readonly string[]): number[] {
  if (names.length === 0 || names.length > MAX_SINKS || new Set(names).size !== names.length) {
    throw new BridgeError('config_invalid', `A bridge has 1 to ${MAX_SINKS} sinks, each with a name of its own.`)
  }
  const known = new Map(
    database
      .prepare('SELECT bit, name FROM sink')
      .all()
      .map(({ bit, name }) => [String(name), Number(bit)]),
  )
  for (const [name, bit] of known) if (!names.includes(name)) forget(database, bit)
  const free = Array.from({ length: MAX_SINKS }, (_, bit) => bit).filter(
    (bit) => !names.some((name) => known.get(name) === bit),
  )
  const bits = names.map((name) => known.get(name) ?? remember(database, name, free))
  const all = allOf(bits)
  database.prepare('DELETE FROM event WHERE delivered & ? = ?').run(all, all)
  return bits.map((bit) => 1 << bit)
}

function allOf(bits: readonly number[]): number {
  return bits.reduce((all, bit) => all | (1 << bit), 0)
}

function forget(database: DatabaseSync, bit: number): void {
  database.prepare('UPDATE event SET delivered = delivered & ~?').run(1 << bit)
  database.prepare('DELETE FROM sink WHERE bit = ?').run(bit)
}

function remember(database: DatabaseSync, name: string, free: number[]): number {
  const bit = free.shift()
  if (bit === undefined) throw new BridgeError('config_invalid', `A bridge has at most ${MAX_SINKS} sinks.`)
  database.prepare('INSERT INTO sink VALUES (?, ?)').run(bit, name)
  return bit
}
