import { once } from 'node:events'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import type { BackendInterfacesClient, HttpAnswer } from '@mortise/backend-interfaces'
import type { Installation, ServerProcess } from '../support/installation.ts'
import { connectPeer } from '../support/parties.ts'
import { descendantsOf, isTrustBoundary } from '../support/processes.ts'
import type { Random } from './random.ts'
import type { Victim } from './schedule.ts'

const ADDRESS_POLL_MS = 10
const STOP_TIMEOUT_MS = 20_000
const MAX_OUTPUT = 4000

/** What a server of the run is reached by; a new one with every start. */
interface Running {
  readonly server: ServerProcess
  readonly clients: ReadonlyMap<string, BackendInterfacesClient>
}

/** Process ids; a worker may be starting still. */
export interface HsmProcesses {
  readonly supervisor: number | undefined
  readonly workers: readonly number[]
}

export interface ServiceOptions {
  readonly installation: Installation
  /** Directories with certificates, by NetID or AS-ID. */
  readonly peers: ReadonlyMap<string, string>
  /** Called when a server ends that nobody killed, with what it said. */
  readonly ended: (output: string) => void
}

/** The `mortise serve` under test, over its many lives. */
export class Service implements AsyncDisposable {
  /** Times (Date.now()) at which the whole HSM process died without a word: its receipt chains may stay open. */
  readonly hsmCrashes: number[] = []
  readonly #options: ServiceOptions
  #server: ServerProcess | undefined
  #running = Promise.withResolvers<Running>()
  #killed = new WeakSet<ServerProcess>()

  constructor(options: ServiceOptions) {
    this.#options = options
  }

  get installation(): Installation {
    return this.#options.installation
  }

  /** Starts a server, without waiting for anything. */
  start(workers: number): void {
    const { installation } = this.#options
    const listen = ['--bi-listen', '127.0.0.1:0', '--api-listen', '127.0.0.1:0']
    const server = installation.start('serve', ...installation.secretOption(), ...listen, '--workers', String(workers))
    server.child.once('exit', () => {
      if (this.#killed.has(server)) return
      this.#options.ended(server.output.slice(-MAX_OUTPUT))
      this.#forget(server)
      this.start(workers)
    })
    this.#server = server
    const running = this.#running
    void this.#connect(server).then((connected) => {
      if (connected !== undefined) running.resolve(connected)
    })
  }

  /** Resolves when the present server, or the next one, listens; its HSM may still be opening. */
  async listening(): Promise<ServerProcess> {
    return (await this.#running.promise).server
  }

  /** Posts as one of the peers, when somebody listens. @throws AnswerError when no answer came */
  async post(peer: string, body: string): Promise<HttpAnswer> {
    const { clients } = await this.#running.promise
    const client = clients.get(peer)
    if (client === undefined) throw new RangeError(`no peer ${peer}`)
    return client.post(body)
  }

  /** The HSM processes of the present server. */
  get hsmProcesses(): HsmProcesses {
    if (this.#server === undefined) return { supervisor: undefined, workers: [] }
    const { pid: server } = this.#server
    const processes = descendantsOf(server).filter(isTrustBoundary)
    const supervisor = processes.find(({ parent }) => parent === server)?.pid
    return { supervisor, workers: processes.flatMap(({ pid, parent }) => (parent === supervisor ? [pid] : [])) }
  }

  /**
   * Kills what the victim names, or, where it does not run now, what is nearest to it; starts the server again if it was
   * among them. Says who was killed.
   */
  async kill(victim: Victim, workers: number, random: Random): Promise<Victim> {
    const server = this.#server
    if (server === undefined) throw new Error('there is no server')
    const { supervisor, workers: running } = this.hsmProcesses
    const worker = random.pick(running)
    if (victim === 'worker' && worker !== undefined) {
      kill(worker)
      return 'worker'
    }
    if (victim !== 'server') this.hsmCrashes.push(Date.now())
    if ((victim === 'worker' || victim === 'supervisor') && supervisor !== undefined) {
      kill(supervisor)
      return 'supervisor'
    }
    const hsm = supervisor === undefined ? running : [supervisor, ...running]
    await this.#killServer(server, victim === 'everything' ? hsm : [])
    this.start(workers)
    return victim === 'everything' ? 'everything' : 'server'
  }

  /** What the present server said last, and which processes it has. */
  describe(): string {
    const server = this.#server
    if (server === undefined) return 'no server'
    const processes = descendantsOf(server.pid).map(({ pid, parent, command }) => `${pid} of ${parent}: ${command}`)
    const state = server.ended ? 'ended' : `pid ${server.pid}`
    return [state, ...processes, server.output.slice(-MAX_OUTPUT)].join('\n')
  }

  /** Otherwise it would be started again when its directory is gone, and again. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.stop()
  }

  /** Ends the server in an orderly way, with its HSM process. */
  async stop(): Promise<void> {
    const server = this.#server
    if (server === undefined || server.ended) return
    this.#forget(server)
    const timer = setTimeout(() => void server.kill('SIGKILL'), STOP_TIMEOUT_MS)
    await server.kill('SIGTERM')
    clearTimeout(timer)
  }

  async #killServer(server: ServerProcess, more: readonly number[]): Promise<void> {
    this.#forget(server)
    // Not `close`: the HSM process has inherited its standard error, and ends a little later.
    const exited = server.ended ? Promise.resolve() : once(server.child, 'exit')
    for (const pid of [server.pid, ...more]) kill(pid)
    await exited
  }

  #forget(server: ServerProcess): void {
    this.#killed.add(server)
    const running = this.#running
    this.#running = Promise.withResolvers<Running>()
    // Whoever waits for a server that was killed before it listened waits for the next one.
    running.resolve(this.#running.promise)
    void running.promise.then((old) => {
      if (old.server === server) closeAll(old.clients.values())
    })
  }

  async #connect(server: ServerProcess): Promise<Running | undefined> {
    while (!server.ended && !this.#killed.has(server)) {
      const addresses = this.#addresses(server)
      if (addresses !== undefined) {
        server.biUrl = `https://${addresses.bi}/`
        server.apiUrl = `https://${addresses.api}`
        const clients = [...this.#options.peers].map(
          ([peer, directory]) => [peer, connectPeer(server, directory)] as const,
        )
        return { server, clients: new Map(clients) }
      }
      await delay(ADDRESS_POLL_MS)
    }
    return undefined
  }

  /** Where the server says that it listens; a file that another server left, or that is not whole yet, says nothing. */
  #addresses({ pid }: ServerProcess): { bi: string; api: string } | undefined {
    const file = join(this.#options.installation.data, 'run', 'server.json')
    if (!existsSync(file)) return undefined
    try {
      const addresses = JSON.parse(readFileSync(file, 'utf8')) as { pid: number; bi: string; api: string }
      return addresses.pid === pid ? addresses : undefined
    } catch {
      return undefined
    }
  }
}

function closeAll(clients: Iterable<BackendInterfacesClient>): void {
  // Their exchanges have failed with the server; there is nothing else to wait for.
  for (const client of clients) client.close().catch(() => undefined)
}

/** One that ended by itself meanwhile is as dead. */
function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL')
  } catch {
    return
  }
}
