import { FrameError } from './errors.ts'

// LoRaWAN writes every multi-byte value least significant byte first (LoRaWAN 1.0.3 §1.2).

/**
 * Writes an unsigned number of `size` bytes (1 to 4) at `offset`, little-endian.
 * @throws {FrameError} `frame_field`: negative, fractional or too large. It must not be cut to size: two nonces would become one.
 */
export function writeUint(target: Uint8Array, offset: number, size: number, value: number): void {
  if (!Number.isInteger(value) || value < 0 || value >= 2 ** (8 * size)) {
    throw new FrameError('frame_field', `${value} is no unsigned number of ${size} bytes`)
  }
  for (let index = 0; index < size; index++) target[offset + index] = value >>> (8 * index)
}

/** Reads an unsigned number of `size` bytes (1 to 4) at `offset`, little-endian. */
export function readUint(source: Uint8Array, offset: number, size: number): number {
  let value = 0
  for (let index = size - 1; index >= 0; index--) value = value * 0x100 + (source[offset + index] ?? 0)
  return value
}

/** Writes the byte string of a field at `offset` as it is. @throws {FrameError} `frame_field`: not `size` bytes long. */
export function writeBytes(target: Uint8Array, offset: number, size: number, field: Uint8Array): void {
  if (field.length !== size) throw new FrameError('frame_field', `a field of ${size} bytes has ${field.length}`)
  target.set(field, offset)
}
