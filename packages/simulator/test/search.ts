/** The names of the keys that occur in `text`: raw, as hexadecimal of either case, or inside base64 at any offset. */
export function keysFoundIn(text: string, keys: Readonly<Record<string, Uint8Array>>): string[] {
  return Object.entries(keys)
    .filter(([, key]) => spellings(key).some((spelling) => text.includes(spelling)))
    .map(([name]) => name)
}

function spellings(key: Uint8Array): string[] {
  const bytes = Buffer.from(key)
  const hex = bytes.toString('hex')
  return [hex, hex.toUpperCase(), bytes.toString('latin1'), ...[0, 1, 2].map((offset) => base64Core(bytes, offset))]
}

/** The digits of the key in a base64 text that begins `offset` bytes earlier, without those that neighbours share. */
function base64Core(bytes: Buffer, offset: number): string {
  const digits = Buffer.concat([Buffer.alloc(offset), bytes])
    .toString('base64')
    .replace(/=+$/, '')
  return digits.slice(offset === 0 ? 0 : offset + 1, -1)
}
