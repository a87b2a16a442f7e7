import type { Writable } from 'node:stream'
import { BridgeError } from '../errors.ts'
import type { Message, Sink } from '../sink.ts'
import { readingJson } from './reading-json.ts'

/** Readings as lines of JSON. A reader that is slow holds the readings up; one that is gone holds them for ever. */
export class StdoutSink implements Sink {
  readonly name = 'stdout'
  readonly #stream: Writable
  #problem: string | undefined

  constructor(stream: Writable) {
    this.#stream = stream
  }

  get problem(): string | undefined {
    return this.#problem
  }

  start(): Promise<void> {
    this.#stream.on('error', this.#failed)
    return Promise.resolve()
  }

  /** Resolves when the line was handed to the system. */
  async deliver({ reading }: Message): Promise<void> {
    if (reading === undefined) return
    const line = Buffer.concat([readingJson(reading), Buffer.from('\n')])
    await new Promise<void>((resolve, reject) => {
      this.#stream.write(line, (error) => {
        if (error == null) resolve()
        else reject(new BridgeError('sink_failed', 'Standard output takes no more.', { cause: error }))
      })
    })
  }

  stop(): Promise<void> {
    return Promise.resolve()
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#stream.off('error', this.#failed)
    return Promise.resolve()
  }

  readonly #failed = (error: Error): void => {
    this.#problem = `stdout: ${error.message}`
  }
}
