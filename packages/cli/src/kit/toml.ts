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

export interface TomlFault {
  readonly line: number
  readonly detail: string
}

/** What every reader of TOML refuses in lines of the kinds that {@link readToml} reads; the rest is passed over. */
export function tomlFaults(text: string): TomlFault[] {
  const faults: TomlFault[] = []
  let end: string | undefined
  text.split(/\r?\n/).forEach((line, index) => {
    const isInside = end !== undefined
    if (end !== undefined && line.includes(end)) end = undefined
    if (isInside) return
    end = openValue(line)
    const detail = end === undefined ? faultOf(line.trim()) : undefined
    if (detail !== undefined) faults.push({ line: index + 1, detail })
  })
  return faults
}

/** What ends a value that goes on in the next lines; undefined for one that does not. */
function openValue(line: string): string | undefined {
  const written = PAIR.exec(line)?.[2]?.trim() ?? ''
  const [, quotes] = /^(\"\"\"|''')/.exec(written) ?? []
  if (quotes !== undefined) return written.includes(quotes, quotes.length) ? undefined : quotes
  return written.startsWith('[') && !written.includes(']') ? ']' : undefined
}

function faultOf(line: string): string | undefined {
  if (line === '' || line.startsWith('#') || HEADING.test(line)) return undefined
  const written = PAIR.exec(line)?.[2]?.trim()
  if (written === undefined) return line.includes('=') ? undefined : 'this is neither a heading nor a setting.'
  if (/^"(?!"")/.test(written) && !BASIC.test(written)) return 'the text has no end.'
  if (/^'(?!'')/.test(written) && !LITERAL.test(written)) return 'the text has no end.'
  if (/^[+-]?0\d+\s*(?:#.*)?$/.test(written)) return 'a number does not begin with 0: write quotation marks around it.'
  return undefined
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
