/** What is looked at, in this order. The names are stable, for programs. */
export type CheckName =
  | 'kit'
  | 'configuration'
  | 'ca-file'
  | 'client-certificate'
  | 'client-key'
  | 'kek'
  | 'join-eui'
  | 'dns'
  | 'tcp'
  | 'tls'
  | 'tls-chain'
  | 'tls-name'
  | 'tls-validity'
  | 'http'
  | 'clock'
  | 'peer'
  | 'sender-id'
  | 'protocol'
  | 'answers'
  | 'join-server'
  | 'device'

/** `skipped`: nothing could be said, because something before it is wrong, or nobody asked. */
export interface Check<Name extends string = CheckName> {
  readonly name: Name
  readonly status: 'ok' | 'wrong' | 'skipped'
  /** What was found. Never a key. */
  readonly detail: string
  /** What to do about what is wrong. */
  readonly remedy?: string
}

export function ok<Name extends string>(name: Name, detail: string): Check<Name> {
  return { name, status: 'ok', detail }
}

export function wrong<Name extends string>(name: Name, detail: string, remedy: string): Check<Name> {
  return { name, status: 'wrong', detail, remedy }
}

export function skipped<Name extends string>(name: Name, detail: string): Check<Name> {
  return { name, status: 'skipped', detail }
}

export function isWrong({ status }: Check<string>): boolean {
  return status === 'wrong'
}

const WORDS: Readonly<Record<Check['status'], string>> = { ok: 'ok', wrong: 'WRONG', skipped: '-' }
const NAME_WIDTH = 'client-certificate'.length

/** One line for people. */
export function describeCheck({ name, status, detail, remedy }: Check<string>): string {
  const advice = remedy === undefined ? '' : ` What to do: ${remedy}`
  return `${name.padEnd(NAME_WIDTH)}  ${WORDS[status].padEnd(5)}  ${detail}${advice}`
}
