import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'

const TOKEN_FILE = 'token.object'
const LOOK_MS = 50
/** SoftHSM2 is done with its write after far less. */
const WRITE_MS = 25

/**
 * The copy of the token that an operator keeps. SoftHSM2 2.6.1 rewrites `token.object` in place at each login: it cuts the
 * file to nothing, gives its lock back, and writes 320 bytes. A process that is killed in between leaves a token without
 * anything in it. That is SoftHSM2's to mend; this puts the file back and counts how often.
 */
export class TokenGuard implements AsyncDisposable {
  restored = 0
  readonly #path: string | undefined
  readonly #copy: Buffer
  readonly #ended = new AbortController()
  readonly #watching: Promise<void>

  /** `directory` is below what SoftHSM2 calls `directories.tokendir`, or does not exist with another back end. */
  constructor(directory: string) {
    this.#path = findToken(directory)
    this.#copy = this.#path === undefined ? Buffer.alloc(0) : readFileSync(this.#path)
    this.#watching = this.#path === undefined ? Promise.resolve() : this.#watch(this.#path)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#ended.abort()
    await this.#watching
  }

  async #watch(path: string): Promise<void> {
    while (!this.#ended.signal.aborted) {
      await delay(LOOK_MS)
      if (!isEmpty(path)) continue
      await delay(WRITE_MS)
      if (!isEmpty(path)) continue
      writeFileSync(path, this.#copy)
      this.restored += 1
    }
  }
}

function findToken(directory: string): string | undefined {
  try {
    const names = readdirSync(directory, { recursive: true, encoding: 'utf8' })
    const name = names.find((path) => path.endsWith(TOKEN_FILE))
    return name === undefined ? undefined : join(directory, name)
  } catch {
    return undefined
  }
}

function isEmpty(path: string): boolean {
  return statSync(path).size === 0
}
