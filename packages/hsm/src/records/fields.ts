import { HsmError } from '../errors.ts'
import type { RecordFields } from './format.ts'

/** Takes a field of exact size out of the map, so that {@link refuseRest} can see what nobody asked for. */
export function takeField(fields: RecordFields, id: number, bytes?: number): Buffer {
  const value = takeOptional(fields, id, bytes)
  if (value === undefined) throw new HsmError('record_malformed', `field ${id} missing`)
  return value
}

export function takeOptional(fields: RecordFields, id: number, bytes?: number): Buffer | undefined {
  const value = fields.get(id)
  if (value === undefined) return undefined
  if (bytes !== undefined && value.length !== bytes) throw new HsmError('record_malformed', `field ${id} size`)
  fields.delete(id)
  return value
}

/** An unknown field may carry a restriction that this release would not see: refused, not skipped. */
export function refuseRest(fields: RecordFields): void {
  if (fields.size > 0) throw new HsmError('record_malformed', 'unknown field')
}

export function uint8(value: number): Buffer {
  return Buffer.from([value])
}

export function uint16(value: number): Buffer {
  const bytes = Buffer.alloc(2)
  bytes.writeUInt16BE(value)
  return bytes
}

export function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(value)
  return bytes
}
