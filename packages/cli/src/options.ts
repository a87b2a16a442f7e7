import { resolve } from 'node:path'
import { type Command, InvalidArgumentError, Option } from 'commander'

/** `--data DIR` and `--json`. */
export interface DataOptions {
  readonly data: string
  readonly json?: boolean
}

/** How a command reaches what it works on. */
export interface ServerOptions extends DataOptions {
  readonly url?: string
  readonly apiKeyFile?: string
  readonly operatorKeyFile?: string
  readonly caFile?: string
}

/** Adds `--data`, with its defaults. */
export function withData(command: Command): Command {
  return command.addOption(
    new Option('--data <dir>', 'data directory').env('MORTISE_DATA').default('./mortise-data').argParser(asPath),
  )
}

/** Adds `--data` and `--json`. */
export function withJson(command: Command): Command {
  return withData(command).option('--json', 'print JSON for programs')
}

/** Adds what every command has that looks at, or works on, an installation here or elsewhere. */
export function withServer(command: Command): Command {
  return withJson(command)
    .option('--url <url>', 'management API of a server elsewhere, such as https://js.example:8444')
    .option('--api-key-file <file>', 'API key (default: api-key beside the operator key)', asPath)
    .option('--operator-key-file <file>', 'operator key (default: DIR/operator/operator-key.pem)', asPath)
    .option('--ca-file <file>', 'CA that the server is checked against (default: DIR/ca.pem)', asPath)
}

/** Appends examples to a command's help. */
export function examples(command: Command, ...lines: readonly string[]): Command {
  const text = lines.map((line) => `  ${line}`).join('\n')
  return command.addHelpText('after', `\nExample${lines.length > 1 ? 's' : ''}:\n${text}`)
}

export function asPath(text: string): string {
  return resolve(text)
}

/** An option that may be repeated; each value goes through `parse`, and none may come twice. */
export function repeated<T>(parse: (text: string) => T): (text: string, before: T[] | undefined) => T[] {
  return (text, before) => {
    const value = parse(text)
    if (before?.includes(value) === true) throw new InvalidArgumentError('It is given twice.')
    return [...(before ?? []), value]
  }
}

/** Turns a parser that throws into one whose failure is a usage error that says what was expected. */
export function parsedBy<T>(parse: (text: string) => T, expected: string): (text: string) => T {
  return (text) => {
    try {
      return parse(text)
    } catch {
      throw new InvalidArgumentError(`Expected ${expected}.`)
    }
  }
}

/** A whole number from `min` to `max`. */
export function integer(min: number, max: number): (text: string) => number {
  return (text) => {
    const value = /^\d{1,9}$/.test(text) ? Number(text) : Number.NaN
    if (!(value >= min && value <= max)) throw new InvalidArgumentError(`Expected a number from ${min} to ${max}.`)
    return value
  }
}
