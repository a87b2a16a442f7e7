/** One thing that the network operator has seen, as text: JSON as it was, frames and keys as hexadecimal. */
export interface ViewEntry {
  readonly kind: string
  readonly text: string
}

/** The file that shows all of it: one JSON object a line. */
export function viewText(entries: readonly ViewEntry[]): string {
  return entries.map((entry) => `${JSON.stringify(entry)}\n`).join('')
}

/** Which of the plaintexts stand somewhere in the view: as they are, or in anything that reads as hexadecimal or base64. */
export function findPlaintexts(entries: readonly ViewEntry[], plaintexts: readonly Buffer[]): Buffer[] {
  const found = new Set<Buffer>()
  for (const { text } of entries)
    for (const bytes of readings(text))
      for (const plaintext of plaintexts) if (bytes.includes(plaintext)) found.add(plaintext)
  return plaintexts.filter((plaintext) => found.has(plaintext))
}

/** How many bytes {@link findPlaintexts} looks through. */
export function searchedBytes(entries: readonly ViewEntry[]): number {
  let sum = 0
  for (const { text } of entries) for (const bytes of readings(text)) sum += bytes.length
  return sum
}

/** A text, and whatever it may be an encoding of, from every place at which that may begin. */
function* readings(text: string): Generator<Buffer> {
  yield Buffer.from(text)
  for (const [run] of text.matchAll(/[0-9a-fA-F]{16,}/g))
    for (const skip of [0, 1]) yield Buffer.from(run.slice(skip), 'hex')
  for (const [run] of text.matchAll(/[A-Za-z0-9+/_-]{16,}/g))
    for (const skip of [0, 1, 2, 3]) yield Buffer.from(run.slice(skip), 'base64')
}

/** Whether some are equal. */
export function hasEqual(ciphertexts: readonly Buffer[]): boolean {
  return new Set(ciphertexts.map((ciphertext) => ciphertext.toString('latin1'))).size < ciphertexts.length
}

/** What share of all bits is 1. */
export function shareOfOnes(ciphertexts: readonly Buffer[]): number {
  let ones = 0
  let bits = 0
  for (const ciphertext of ciphertexts) {
    bits += 8 * ciphertext.length
    for (const byte of ciphertext) for (let rest = byte; rest > 0; rest >>= 1) ones += rest & 1
  }
  return ones / bits
}

/** How far from one half that share may be by chance: five standard deviations, once in two million runs. */
export function toleranceOfOnes(ciphertexts: readonly Buffer[]): number {
  const bits = ciphertexts.reduce((sum, { length }) => sum + 8 * length, 0)
  return 5 * Math.sqrt(1 / (4 * bits))
}
