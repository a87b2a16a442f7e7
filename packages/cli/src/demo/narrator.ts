/** What a step said that it would do, and did not. */
export class DemoError extends Error {
  override readonly name = 'DemoError'
}

/** Tells the story to a person who reads along, and keeps count of what was shown. */
export class Narrator {
  readonly #write: (text: string) => void
  #acts = 0
  #shown = 0

  constructor(write: (text: string) => void) {
    this.#write = write
  }

  get shown(): number {
    return this.#shown
  }

  act(title: string): void {
    this.#acts += 1
    this.#write(`\n${this.#acts}. ${title}\n`)
  }

  say(text: string): void {
    this.#write(`   ${text}\n`)
  }

  command(words: readonly string[]): void {
    this.#write(`   $ mortise ${words.join(' ')}\n`)
  }

  /** Says that something holds, which was found to be so. @throws DemoError when it was not */
  show(holds: boolean, text: string): void {
    if (!holds) throw new DemoError(`this does not hold: ${text}`)
    this.#shown += 1
    this.#write(`   [ok] ${text}\n`)
  }

  table(rows: readonly (readonly string[])[]): void {
    const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => (row[column] ?? '').length)))
    for (const row of rows)
      this.say(
        row
          .map((cell, column) => cell.padEnd(widths[column] ?? 0))
          .join('  ')
          .trimEnd(),
      )
  }
}
