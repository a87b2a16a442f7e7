import { readFileSync } from 'node:fs'
import { Agent, get } from 'node:https'
import type { BenchInstallation } from './installation.ts'
import type { ServerProcess } from './server-process.ts'

const SAMPLE_MS = 250
const TIMEOUT_MS = 5000

/** Looks at /metrics of a server again and again, as a monitoring system does, and remembers the highest values. */
export class MetricsProbe implements Disposable {
  readonly #options: { readonly host: string; readonly port: number; readonly ca: string; readonly agent: Agent }
  readonly #authorization: string
  readonly #highest = new Map<string, number>()
  readonly #last = new Map<string, number>()
  readonly #timer: NodeJS.Timeout
  #asking = false

  constructor({ directory }: BenchInstallation, { apiPort }: ServerProcess) {
    const agent = new Agent({ keepAlive: true })
    this.#options = { host: '127.0.0.1', port: apiPort, ca: readFileSync(directory.caCertificate, 'utf8'), agent }
    this.#authorization = `Bearer ${readFileSync(directory.operator.apiKey, 'utf8').trim()}`
    this.#timer = setInterval(() => void this.sample(), SAMPLE_MS)
  }

  /** The highest value that was seen, by name and labels as in the text of the metrics. */
  get highest(): ReadonlyMap<string, number> {
    return this.#highest
  }

  /** The newest value. */
  get last(): ReadonlyMap<string, number> {
    return this.#last
  }

  /** One more look; one that the server does not answer in time is left out. */
  async sample(): Promise<void> {
    if (this.#asking) return
    this.#asking = true
    for (const line of (await this.#fetch()).split('\n')) {
      const match = /^([a-z_]+(?:\{[^}]*\})?) (\S+)$/.exec(line)
      if (match === null) continue
      const [, name = '', value] = match
      this.#last.set(name, Number(value))
      this.#highest.set(name, Math.max(Number(value), this.#highest.get(name) ?? 0))
    }
    this.#asking = false
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer)
    this.#options.agent.destroy()
  }

  #fetch(): Promise<string> {
    return new Promise((resolve) => {
      const headers = { authorization: this.#authorization }
      const request = get({ ...this.#options, path: '/metrics', headers, timeout: TIMEOUT_MS }, (response) => {
        let text = ''
        response.on('data', (chunk: Buffer) => (text += chunk.toString()))
        response.on('close', () => {
          resolve(response.statusCode === 200 ? text : '')
        })
      })
      request.on('timeout', () => request.destroy())
      request.on('error', () => {
        resolve('')
      })
    })
  }
}
