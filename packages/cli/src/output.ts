import { type CliError, describeFailure } from './errors.ts'
import { printable, printableLines } from './printable.ts'

/** What a command tells, for a program (`--json`) or for a person. */
export function report(options: { readonly json?: boolean }, value: unknown, text: () => string): void {
  process.stdout.write(options.json === true ? `${JSON.stringify(value)}\n` : `${printableLines(text())}\n`)
}

/** A line for people beside the result; it never mixes with what a program reads. */
export function note(line: string): void {
  write(printable(line))
}

function write(text: string): void {
  process.stderr.write(`mortise: ${text}\n`)
}

export function warn(line: string): void {
  note(`warning: ${line}`)
}

/** Tells a failure on standard error and returns the exit code. */
export function reportFailure(error: unknown, json: boolean): CliError['exitCode'] {
  const { exitCode, facts, ...failure } = describeFailure(error)
  if (json) {
    process.stderr.write(`${JSON.stringify({ ...failure, ...facts })}\n`)
    return exitCode
  }
  // Several lines, where a file has several faults.
  write(printableLines(`error: ${failure.message}`))
  if (failure.hint !== undefined) note(`hint: ${failure.hint}`)
  return exitCode
}

/** Rows under headings, columns as wide as they need to be. */
export function table(headings: readonly string[], rows: readonly (readonly string[])[]): string {
  const widths = headings.map((heading, column) =>
    Math.max(heading.length, ...rows.map((row) => (row[column] ?? '').length)),
  )
  return [headings, ...rows]
    .map((row) =>
      row
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .join('\n')
}

/** `1 device`, `2 devices`. */
export function counted(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`
}
