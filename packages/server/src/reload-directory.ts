import { changesPeers } from './identity/index.ts'
import { messageOf } from './message-of.ts'
import { changesRoutes } from './routing/index.ts'
import type { AdoptedChange } from './storage/index.ts'

const RETRY_MS = 1000

interface Reloaded {
  /** @throws Error */
  reload(): void
}

export interface DirectoryReloadOptions {
  readonly peers: Reloaded
  readonly agreements: Reloaded
  readonly routes: Reloaded
  readonly log: (line: string) => void
}

/**
 * Has read again what orders changed: peers and agreements before all, because somebody may have been removed. What could
 * not be read knows nobody until it can be, which is tried again each second.
 */
export class DirectoryReload implements Disposable {
  readonly #options: DirectoryReloadOptions
  /** What has to be read again, in this order. */
  #due: readonly Reloaded[] = []
  #retry: NodeJS.Timeout | undefined

  constructor(options: DirectoryReloadOptions) {
    this.#options = options
  }

  /** An order with these changes is durable. */
  adopted(changes: readonly AdoptedChange[]): void {
    const { peers, agreements, routes } = this.#options
    const due = new Set(this.#due)
    if (changes.some(changesPeers)) due.add(peers).add(agreements)
    if (changes.some(changesRoutes)) due.add(routes)
    this.#due = [peers, agreements, routes].filter((one) => due.has(one))
    this.#reload()
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#retry)
  }

  #reload(): void {
    clearTimeout(this.#retry)
    this.#due = this.#due.filter((one) => !this.#isReloaded(one))
    if (this.#due.length > 0) this.#retry = setTimeout(() => this.#reload(), RETRY_MS).unref()
  }

  #isReloaded(one: Reloaded): boolean {
    try {
      one.reload()
      return true
    } catch (error) {
      this.#options.log(`what an order changed cannot be read, and is in no effect until it can: ${messageOf(error)}`)
      return false
    }
  }
}
