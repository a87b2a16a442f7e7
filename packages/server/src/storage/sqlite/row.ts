import type { SQLOutputValue } from 'node:sqlite'
import { StorageError } from '../ports.ts'

export type Row = Record<string, SQLOutputValue>

/** The tables are STRICT and NOT NULL, so that another type in a column means a damaged file. */
function damaged(column: string): StorageError {
  return new StorageError('database_corrupt', `column ${column}`)
}

export function integer(row: Row, column: string): number {
  return asInteger(row[column], column)
}

export function asInteger(value: unknown, column: string): number {
  if (typeof value !== 'number') throw damaged(column)
  return value
}

export function text(row: Row, column: string): string {
  const value = row[column]
  if (typeof value !== 'string') throw damaged(column)
  return value
}

export function blob(row: Row, column: string): Buffer {
  return asBuffer(row[column], column)
}

export function asBuffer(value: unknown, column: string): Buffer {
  if (!(value instanceof Uint8Array)) throw damaged(column)
  return Buffer.from(value.buffer, value.byteOffset, value.byteLength)
}

export function flag(row: Row, column: string): boolean {
  return integer(row, column) === 1
}

/** One of a closed list of texts. */
export function oneOf<T extends string>(row: Row, column: string, values: readonly T[]): T {
  const value = values.find((candidate) => candidate === row[column])
  if (value === undefined) throw damaged(column)
  return value
}

/** `undefined` for NULL, else what `read` makes of the column. */
export function optional<T>(row: Row, column: string, read: (row: Row, column: string) => T): T | undefined {
  return row[column] === null ? undefined : read(row, column)
}
