import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { CliError } from './errors.ts'

/**
 * The highest sequence number that was ever signed with the operator key beside which the file lies. The server says
 * which number is next, but not below this one: whoever makes an operator sign twice keeps the first order as a spare,
 * and a spare is dead as soon as a higher number has been used.
 */
export function highestSigned(path: string): number {
  if (!existsSync(path)) return 0
  const text = readFileSync(path, 'utf8').trim()
  const number = Number(text)
  // An emptied file is no number: taken for 0, it would let numbers be signed a second time.
  if (/^\d+$/.test(text) && Number.isSafeInteger(number)) return number
  throw new CliError('sequence_file_malformed', `${path} does not hold a number`, {
    hint: 'write into it the highest sequence number that was signed with this operator key',
  })
}

/** Remembers a number before the order with it leaves. */
export function recordSigned(path: string, sequence: number): void {
  try {
    writeFileSync(`${path}.new`, `${sequence}\n`, { mode: 0o600, flush: true })
    renameSync(`${path}.new`, path)
  } catch (error) {
    throw new CliError('sequence_file_unwritable', `${path} cannot be written`, {
      hint: 'the directory of the operator key must be writable: the number of every signed order is kept there',
      cause: error,
    })
  }
}
