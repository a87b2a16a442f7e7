import { HsmError } from '../../src/errors.ts'

/** The code with which `act` is refused; `accepted` when it is not. Anything but an HsmError is a failure of the test. */
export function codeOf(act: () => unknown): string {
  try {
    act()
  } catch (error) {
    if (error instanceof HsmError) return error.code
    throw error
  }
  return 'accepted'
}

/** The same of something that takes time. */
export async function codeOfPromise(promise: Promise<unknown>): Promise<string> {
  try {
    await promise
  } catch (error) {
    if (error instanceof HsmError) return error.code
    throw error
  }
  return 'accepted'
}

/** Every copy of `bytes` in which one bit differs. */
export function* bitFlips(bytes: Buffer): Generator<{ bit: number; flipped: Buffer }> {
  for (let bit = 0; bit < 8 * bytes.length; bit++) yield { bit, flipped: flipBit(bytes, bit) }
}

/** `bytes` with one bit changed; bit 0 is the highest of the first byte. */
export function flipBit(bytes: Buffer, bit: number): Buffer {
  const flipped = Buffer.from(bytes)
  flipped.writeUInt8(flipped.readUInt8(bit >> 3) ^ (0x80 >> (bit & 7)), bit >> 3)
  return flipped
}
