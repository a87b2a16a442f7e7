import { readFileSync } from 'node:fs'

export interface CapabilityPage {
  /** Attack to `succeeds` or the return value with which the token refuses it. */
  readonly attacks: ReadonlyMap<string, string>
  /** C functions of a join in their order, by LoRaWAN version. */
  readonly calls: ReadonlyMap<string, readonly string[]>
  /** How often each C function is called for a message, by message; those that are not called are left out. */
  readonly callsOfMessages: ReadonlyMap<string, ReadonlyMap<string, number>>
}

const ATTACK_ROW = /^\| ([^|]+) \| (?:(succeeds)|refused: `(CKR_\w+)`) \|/
const CALLS_ROW = /^\| (1\.0\.x|1\.1) \| \d+ \| ([^|]+) \|/

/** The head of the table of calls by message, whose columns are C functions. */
const COUNTS_HEAD = /^\| Message \| All \| (.+) \|$/

/** Reads the tables of a page in `capabilities/` that the tests hold against a real token. */
export function readCapabilityPage(name: string): CapabilityPage {
  const lines = readFileSync(new URL(`../../capabilities/${name}`, import.meta.url), 'utf8').split('\n')
  return {
    attacks: new Map(
      lines.flatMap((line) => {
        const [, attack, succeeds, refusal] = ATTACK_ROW.exec(line) ?? []
        const outcome = succeeds ?? refusal
        return attack === undefined || outcome === undefined ? [] : [[attack.trim(), outcome]]
      }),
    ),
    calls: new Map(
      lines.flatMap((line) => {
        const [, version, calls] = CALLS_ROW.exec(line) ?? []
        return version === undefined || calls === undefined ? [] : [[version, expandCalls(calls)]]
      }),
    ),
    callsOfMessages: readCounts(lines),
  }
}

/** @throws when a sum is wrong */
function readCounts(lines: readonly string[]): Map<string, Map<string, number>> {
  const head = lines.findIndex((line) => COUNTS_HEAD.test(line))
  const functions = COUNTS_HEAD.exec(lines[head] ?? '')?.[1]?.split(' | ') ?? []
  const rest = lines.slice(head + 2)
  const rows = rest.slice(
    0,
    rest.findIndex((line) => !line.startsWith('|')),
  )
  return new Map(
    rows.map((row) => {
      const [message = '', all = '', ...counts] = row.slice(2, -2).split(' | ')
      const calls = functions.map((name, i): [string, number] => [name, Number(counts[i])])
      const sum = calls.reduce((total, [, count]) => total + count, 0)
      if (sum !== Number(all)) throw new Error(`${message}: ${all} calls in all, but the row has ${sum}`)
      return [message, new Map(calls.filter(([, count]) => count > 0))]
    }),
  )
}

/** `C_DeriveKey ×3, C_Sign` is four calls. */
function expandCalls(text: string): string[] {
  return text.split(',').flatMap((entry) => {
    const [name = '', times = '1'] = entry.trim().split(' ×')
    return Array.from({ length: Number(times) }, () => name)
  })
}
