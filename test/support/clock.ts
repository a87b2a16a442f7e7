import { existsSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

const LIBRARIES = ['x86_64-linux-gnu', 'aarch64-linux-gnu'].map((part) =>
  join('/usr/lib', part, 'faketime/libfaketimeMT.so.1'),
)

/** A wall clock of its own for the processes that get its environment, which can be set while they run (libfaketime). */
export class Clock {
  readonly environment: Readonly<Record<string, string>>
  readonly #file: string

  /** @throws when libfaketime is missing */
  constructor(file: string, days: number) {
    const library = LIBRARIES.find((path) => existsSync(path))
    if (library === undefined) throw new Error('libfaketime is missing: apt-get install libfaketime')
    this.#file = file
    this.set(days)
    this.environment = {
      LD_PRELOAD: library,
      FAKETIME_TIMESTAMP_FILE: file,
      FAKETIME_NO_CACHE: '1',
      // As when somebody sets the clock of a machine: what counts from its start goes on as before.
      FAKETIME_DONT_FAKE_MONOTONIC: '1',
    }
  }

  /** Sets the clock this far from the true time; earlier is negative. */
  set(days: number): void {
    const sign = days < 0 ? '-' : '+'
    // In one step: nobody reads half of it.
    writeFileSync(`${this.#file}.new`, `${sign}${Math.abs(days)}d\n`)
    renameSync(`${this.#file}.new`, this.#file)
  }
}
