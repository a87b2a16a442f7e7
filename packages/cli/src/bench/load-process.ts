import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { CommandProcess, LOAD_GENERATOR_MAIN } from '@mortise/simulator'
import { CliError, messageOf } from '../errors.ts'
import type { BenchInstallation } from './installation.ts'
import type { Drive, LoadSettings, LoadWindow } from './measure.ts'
import { KEK_LABEL } from './parties.ts'

/** The load generator of one server, as a process; it remembers its devices' nonces from one run to the next. */
export class LoadProcess implements Drive, AsyncDisposable {
  readonly #process: CommandProcess

  /**
   * `expect`: whether answers are checked as a device would, or are the constant ones of a bare server. `firstDevNonce`:
   * where devices begin that have joined before.
   */
  constructor(
    installation: BenchInstallation,
    name: string,
    port: number,
    expect: 'join' | 'constant',
    firstDevNonce = 0,
  ) {
    const [netId = ''] = installation.plan.networks
    const peer = installation.peerDirectory(netId)
    const path = join(installation.root, `load-${name}.json`)
    const files = { caFile: join(peer, 'ca.pem'), certFile: join(peer, 'cert.pem'), keyFile: join(peer, 'key.pem') }
    const { fleetFile, kekFile } = installation
    const configuration = {
      ...{ host: '127.0.0.1', port, netId, expect, fleetFile, firstDevNonce, kekFile, kekLabel: KEK_LABEL },
      ...files,
    }
    writeFileSync(path, JSON.stringify(configuration), { mode: 0o600 })
    this.#process = new CommandProcess({ program: LOAD_GENERATOR_MAIN, args: ['--config', path] })
  }

  get pid(): number {
    return this.#process.pid ?? 0
  }

  /** Shows that wrong answers are noticed; returns how many were. @throws CliError bench_self_test_failed */
  async selfTest(): Promise<number> {
    try {
      return (await this.#process.request('self-test')).number('noticed')
    } catch (error) {
      throw new CliError('bench_self_test_failed', `the benchmark's own check failed: ${messageOf(error)}`)
    }
  }

  async start(settings: LoadSettings): Promise<void> {
    await this.#process.request('start', { ...settings })
  }

  async window(seconds: number): Promise<LoadWindow> {
    const result = await this.#process.request('window', { seconds })
    return {
      seconds: result.number('seconds'),
      answered: result.number('answered'),
      refused: result.number('refused'),
      p50Ms: result.number('p50Ms'),
      p99Ms: result.number('p99Ms'),
      maxMs: result.number('maxMs'),
      idle: result.number('idle'),
      connected: result.number('connected'),
    }
  }

  async stop(): Promise<number> {
    const { checked, answered, failed, firstFailure = 'an answer was not checked' } = await this.end()
    if (failed === 0 && checked === answered) return checked
    throw new CliError(
      'bench_answer_wrong',
      `${failed} of ${failed + checked} joins went wrong, the first: ${firstFailure}`,
      {
        facts: { failed, checked, firstFailure },
      },
    )
  }

  /** As {@link stop}, whatever went wrong. */
  async end(): Promise<{ checked: number; answered: number; failed: number; firstFailure?: string }> {
    const totals = await this.#process.request('stop')
    return {
      ...{ checked: totals.number('checked'), answered: totals.number('answered'), failed: totals.number('failed') },
      ...(totals.has('firstFailure') && { firstFailure: totals.text('firstFailure') }),
    }
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#process[Symbol.asyncDispose]()
  }
}
