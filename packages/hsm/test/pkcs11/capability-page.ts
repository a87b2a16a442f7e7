import { readFileSync } from 'node:fs'

export interface CapabilityPage {
  /** Attack to `succeeds` or the return value with which the token refuses it. */
  readonly attacks: ReadonlyMap<string, string>
  /** C functions of a join in their order, by LoRaWAN version. */
  readonly calls: ReadonlyMap<string, readonly string[]>
}

const ATTACK_ROW = /^\| ([^|]+) \| (?:(succeeds)|refused: `(CKR_\w+)`) \|/
const CALLS_ROW = /^\| (1\.0\.x|1\.1) \| \d+ \| ([^|]+) \|/

/** Reads the two tables of a page in `capabilities/` that the tests hold against a real token. */
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
  }
}

/** `C_DeriveKey ×3, C_Sign` is four calls. */
function expandCalls(text: string): string[] {
  return text.split(',').flatMap((entry) => {
    const [name = '', times = '1'] = entry.trim().split(' ×')
    return Array.from({ length: Number(times) }, () => name)
  })
}
