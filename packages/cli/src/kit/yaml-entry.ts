import { parse } from 'yaml'
import { CliError } from '../errors.ts'
import { readTextFile } from '../files.ts'
import type { Fault } from './setup.ts'

/** A mapping of a YAML file. */
export type Entry = Readonly<Record<string, unknown>>

/** @throws CliError file_missing, file_unreadable, kit_malformed */
export function readYaml(path: string): Entry {
  const text = readTextFile(path, 'the configuration', 'it is part of the kit')
  let value: unknown
  try {
    // As text: a NetID of digits would be read as a number, in base 8.
    value = parse(text, { schema: 'failsafe' })
  } catch (error) {
    // The message of the parser quotes the file, which may hold a KEK.
    throw new CliError('kit_malformed', `${path} is not YAML`, { hint: 'mind the indentation', cause: error })
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new CliError('kit_malformed', `${path} is not a mapping in YAML`, { hint: 'mind the indentation' })
  return value as Entry
}

/** Whether other readers than {@link readYaml} take what stands there for a number: digits without quotation marks. */
export function isNumberIn(path: string, section: string, key: string): boolean {
  const file = parse(readTextFile(path, 'the configuration', 'it is part of the kit')) as Record<
    string,
    Entry | undefined
  >
  return typeof file[section]?.[key] === 'number'
}

/** A scalar as it is written; empty for everything else. */
export function textOf(value: unknown): string {
  return typeof value === 'string' ? value : ''
}

/** The Things Stack refuses a file with a key that it does not know. */
export function strangeKeys(entry: Entry, known: readonly string[], file: string): Fault[] {
  return Object.keys(entry)
    .filter((key) => !known.includes(key))
    .map((key) => ({
      detail: `${file}: The Things Stack knows no ${key}, and does not start with it.`,
      remedy: `remove it; the keys are ${known.join(', ')}.`,
    }))
}
