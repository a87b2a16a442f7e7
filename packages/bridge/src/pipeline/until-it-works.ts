import { setTimeout as delay } from 'node:timers/promises'
import { BridgeError } from '../errors.ts'
import { isStoreFailure } from './open-uplink.ts'

const TRY_AGAIN_MS = 1000

/**
 * Work that needs the disk: while that fails, all of it waits, and is tried again each second until it works or the bridge
 * stops. Of other errors it knows nothing.
 */
export class UntilItWorks {
  readonly #stopped: AbortSignal
  #problem: string | undefined

  constructor(stopped: AbortSignal) {
    this.#stopped = stopped
  }

  /** Why work waits, in words for an operator. */
  get problem(): string | undefined {
    return this.#problem
  }

  /** @throws {DOMException} AbortError: the bridge stops */
  async run<Result>(work: () => Result | Promise<Result>): Promise<Result> {
    for (;;) {
      try {
        const result = await work()
        this.#problem = undefined
        return result
      } catch (error) {
        if (!(error instanceof Error) || !isOfDisk(error)) throw error
        this.#problem = error.cause instanceof Error ? `${error.message} ${error.cause.message}` : error.message
        await delay(TRY_AGAIN_MS, undefined, { signal: this.#stopped })
      }
    }
  }
}

function isOfDisk(error: Error): boolean {
  return isStoreFailure(error) || (error instanceof BridgeError && error.code === 'queue_failed')
}
