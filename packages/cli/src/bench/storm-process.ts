import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { CommandProcess, type Members, STORM_MAIN } from '@mortise/simulator'
import type { BenchInstallation } from './installation.ts'
import { KEK_LABEL } from './parties.ts'
import type { StormBenchOptions, StormPeerPlan } from './storm-options.ts'

/** One second of the storm. */
export interface StormSecond {
  readonly transmitted: number
  readonly joined: number
  readonly lost: number
}

export interface StormPeerResult extends StormPeerPlan {
  readonly devices: number
  readonly transmitted: number
  readonly joined: number
  readonly p50Ms: number
  readonly p99Ms: number
  readonly lastJoinSeconds: number
}

export interface StormResult {
  readonly devices: number
  readonly joined: number
  readonly transmitted: number
  readonly lastJoinSeconds: number
  readonly p50Ms: number
  readonly p99Ms: number
  readonly maxMs: number
  readonly mostTransmissions: number
  /** What was wrong with the first answer that was wrong. */
  readonly firstWrong: string | undefined
  /** How often frames ended otherwise than in a join, by outcome or ResultCode. */
  readonly lost: Readonly<Record<string, number>>
  readonly peers: readonly StormPeerResult[]
  readonly seconds: readonly StormSecond[]
}

/** The region and its network servers, as a process. */
export class StormProcess implements AsyncDisposable {
  readonly #process: CommandProcess
  readonly #plans: readonly StormPeerPlan[]

  constructor(
    installation: BenchInstallation,
    port: number,
    plans: readonly StormPeerPlan[],
    { connections, newConnections }: Pick<StormBenchOptions, 'connections' | 'newConnections'>,
  ) {
    const path = join(installation.root, 'storm.json')
    const { fleetFile, kekFile } = installation
    const peers = plans.map((plan) => {
      const directory = installation.peerDirectory(plan.netId)
      const file = (name: string) => join(directory, name)
      return { ...plan, caFile: file('ca.pem'), certFile: file('cert.pem'), keyFile: file('key.pem') }
    })
    const server = { host: '127.0.0.1', port, fleetFile, kekFile, kekLabel: KEK_LABEL }
    writeFileSync(path, JSON.stringify({ ...server, connections, newConnections, peers }), { mode: 0o600 })
    this.#plans = plans
    this.#process = new CommandProcess({ program: STORM_MAIN, args: ['--config', path] })
  }

  get pid(): number {
    return this.#process.pid ?? 0
  }

  async joined(): Promise<number> {
    return (await this.#process.request('progress')).number('joined')
  }

  async run(options: Pick<StormBenchOptions, 'spread' | 'timeScale' | 'timeout'>): Promise<StormResult> {
    const { spread: spreadSeconds, timeScale, timeout: timeoutSeconds } = options
    const result = await this.#process.request('run', { spreadSeconds, timeScale, timeoutSeconds })
    const lost = result.object('lost')
    return {
      ...numbers(result, ['devices', 'joined', 'transmitted', 'lastJoinSeconds', 'p50Ms', 'p99Ms', 'maxMs']),
      ...numbers(result, ['mostTransmissions']),
      firstWrong: result.has('firstWrong') ? result.text('firstWrong') : undefined,
      lost: Object.fromEntries(lost.names().map((name) => [name, lost.number(name)])),
      peers: result.objects('peers').map((peer, index) => ({
        ...planOf(this.#plans, index),
        ...numbers(peer, ['devices', 'transmitted', 'joined', 'p50Ms', 'p99Ms', 'lastJoinSeconds']),
      })),
      seconds: result.objects('seconds').map((second) => numbers(second, ['transmitted', 'joined', 'lost'])),
    }
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#process[Symbol.asyncDispose]()
  }
}

function numbers<Name extends string>(members: Members, names: readonly Name[]): Record<Name, number> {
  return Object.fromEntries(names.map((name) => [name, members.number(name)])) as Record<Name, number>
}

function planOf(plans: readonly StormPeerPlan[], index: number): StormPeerPlan {
  const plan = plans[index]
  if (plan === undefined) throw new RangeError('there is no such network server')
  return plan
}
