import { existsSync, mkdirSync, rmSync } from 'node:fs'
import { writeNewFile } from '../files.ts'

const PRIVATE_DIRECTORY = 0o700

/** What a command has made so far: if it fails, all of it is removed again, and nothing else. */
export class CreatedPaths implements Disposable {
  readonly #paths: string[] = []

  /** Makes a directory, 0700; one that is there stays as it is. */
  directory(path: string): void {
    const first = mkdirSync(path, { recursive: true, mode: PRIVATE_DIRECTORY })
    if (first !== undefined) this.#paths.push(first)
  }

  /** Writes a file, 0600; never over one that is there. */
  file(path: string, content: string | Uint8Array): void {
    writeNewFile(path, content)
    this.#paths.push(path)
  }

  /** Notes what somebody else is about to make here; what is there already stays. */
  expect(...paths: string[]): void {
    for (const path of paths) if (!existsSync(path)) this.#paths.push(path)
  }

  /** All is well: everything stays. */
  keep(): void {
    this.#paths.length = 0
  }

  [Symbol.dispose](): void {
    for (const path of this.#paths.reverse()) rmSync(path, { recursive: true, force: true })
  }
}
