import type { Random } from '../random.ts'

/** A kind of file that people or the product leave behind, and how it is read. */
export interface FileKind {
  readonly name: string
  /** Files as they should be. */
  readonly seeds: readonly Buffer[]
  /** How such a file is damaged. */
  readonly mutate: (random: Random, seed: Buffer, seeds: readonly Buffer[]) => Buffer
  /** Reads the bytes as the product does. May throw what {@link refusals} names, and nothing else. */
  readonly read: (bytes: Buffer) => unknown
  /** Names of the error classes and, after a colon, their codes. */
  readonly refusals: readonly string[]
  /** Says what is wrong with a value that was read. */
  readonly complaint: (value: unknown, bytes: Buffer, seed: Buffer) => string | undefined
}
