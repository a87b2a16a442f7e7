/** One `[table]` or `[[element of an array of tables]]` of a TOML file. */
export interface TomlTable {
  /** With dots; empty for what stands before the first heading. */
  readonly name: string
  readonly values: ReadonlyMap<string, string | number | boolean>
  /** Of its heading, from 1. */
  readonly line: number
}

const HEADING = /^\s*(\[\[?)\s*([A-Za-z0-9_.-]+)\s*\]\]?\s*(?:#.*)?$/
const PAIR = /^\s*([A-Za-z0-9_-]+)\s*=\s*(.+)$/
const BASIC = /^"((?:[^"\\]|\\.)*)"\s*(?:#.*)?$/
const LITERAL = /^'([^']*)'\s*(?:#.*)?$/
const BARE = /^([A-Za-z0-9_+.-]+)\s*(?:#.*)?$/

/**
 * The tables of a TOML file with their one-line values: strings, whole numbers and booleans. What is written otherwise
 * (arrays, dates, several lines) is passed over: the network server's own business, and nothing that a join needs.
 */
export function readToml(text: string): TomlTable[] {
  const tables: { name: string; values: Map<string, string | number | boolean>; line: number }[] = []
  let values = new Map<string, string | number | boolean>()
  tables.push({ name: '', values, line: 1 })
  text.split(/\r?\n/).forEach((line, index) => {
    const heading = HEADING.exec(line)
    if (heading !== null) {
      values = new Map()
      tables.push({ name: heading[2] ?? '', values, line: index + 1 })
      return
    }
    const [, key, written] = PAIR.exec(line) ?? []
    const value = written === undefined ? undefined : readValue(written.trim())
    if (key !== undefined && value !== undefined) values.set(key, value)
  })
  return tables
}

function readValue(written: string): string | number | boolean | undefined {
  const basic = BASIC.exec(written)?.[1]
  if (basic !== undefined) return unescape(basic)
  const literal = LITERAL.exec(written)?.[1]
  if (literal !== undefined) return literal
  const bare = BARE.exec(written)?.[1]
  if (bare === 'true' || bare === 'false') return bare === 'true'
  return bare !== undefined && /^[+-]?\d+$/.test(bare) ? Number(bare) : undefined
}

function unescape(text: string): string {
  return text.replace(/\\(["\\])/g, '$1')
}

/** As a TOML string. Identifiers, paths and URLs need no more than this. */
export function tomlString(text: string): string {
  return `"${text.replace(/[\\"]/g, '\\$&')}"`
}
