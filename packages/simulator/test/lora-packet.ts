import { createRequire } from 'node:module'
import type declared from 'lora-packet'

/** An implementation of LoRaWAN by others, over AES by others: the independent oracle of these tests. */
export const loraPacket = createRequire(import.meta.url)('lora-packet') as (typeof declared)['default']

/** The high 16 bits of a counter as lora-packet wants them: in the order on air. */
export function highBytes(fCnt: number): Buffer {
  const bytes = Buffer.alloc(2)
  bytes.writeUInt16LE(Math.floor(fCnt / 0x10000))
  return bytes
}

/** A number as Buffer of `size` bytes, most significant first. */
export function bigEndian(size: number, value: number): Buffer {
  return Buffer.from(value.toString(16).padStart(2 * size, '0'), 'hex')
}
