import { type ChildProcess, fork } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Installation, ServerProcess } from '../support/installation.ts'
import type { PeerCommand, PeerReport, StopCommand } from './peer-messages.ts'

const PEER_PROCESS = fileURLToPath(new URL('peer-process.ts', import.meta.url))

/** A message that is answered without any work: a peer that has nothing to ask, and shows that it is there. */
export const NOTHING = '{"MessageType":"JoinAns"}'

/** Many connections of one peer, held by several processes that come from addresses of their own. */
export class Crowd implements Disposable {
  readonly #children: readonly ChildProcess[]

  private constructor(children: readonly ChildProcess[]) {
    this.#children = children
  }

  /** `directory` has the certificate and key of the peer. */
  static async gather(
    installation: Installation,
    server: ServerProcess,
    directory: string,
    processes: number,
  ): Promise<Crowd> {
    const crowd = new Crowd(Array.from({ length: processes }, () => fork(PEER_PROCESS, [], { execArgv: [] })))
    const { hostname, port } = new URL(server.biUrl)
    const read = (name: string) => readFileSync(join(directory, name), 'utf8')
    const files = {
      ca: readFileSync(join(installation.data, 'ca.pem'), 'utf8'),
      cert: read('cert.pem'),
      key: read('key.pem'),
    }
    await crowd.#tell((_child, index) => {
      return { do: 'start', host: hostname, port: Number(port), localAddress: `127.0.0.${10 + index}`, ...files }
    })
    return crowd
  }

  /** Opens `connections`, each used so many times; the rest of a division is left out. */
  open(connections: number, requests: number, body = NOTHING): Promise<PeerReport> {
    const each = Math.floor(connections / this.#children.length)
    return this.#tell(() => ({ do: 'open', connections: each, requests, body }))
  }

  touch(body = NOTHING): Promise<PeerReport> {
    return this.#tell(() => ({ do: 'touch', body }))
  }

  /** Goes on until {@link stopFlood}. */
  flood(body: string, pauseMs: number): Promise<PeerReport> {
    return this.#tell(() => ({ do: 'flood', body, pauseMs }))
  }

  stopFlood(): void {
    const stop: StopCommand = { do: 'stop' }
    for (const child of this.#children) child.send(stop)
  }

  close(): Promise<PeerReport> {
    return this.#tell(() => ({ do: 'close' }))
  }

  [Symbol.dispose](): void {
    for (const child of this.#children) child.kill('SIGKILL')
  }

  async #tell(command: (child: ChildProcess, index: number) => PeerCommand): Promise<PeerReport> {
    const reports = await Promise.all(this.#children.map((child, index) => ask(child, command(child, index))))
    const answers: Record<string, number> = {}
    for (const report of reports)
      for (const [result, count] of Object.entries(report.answers)) answers[result] = (answers[result] ?? 0) + count
    return { open: reports.reduce((sum, { open }) => sum + open, 0), answers }
  }
}

function ask(child: ChildProcess, command: PeerCommand): Promise<PeerReport> {
  return new Promise((resolve, reject) => {
    const ended = (): void => {
      reject(new Error('a peer process ended'))
    }
    child.once('exit', ended)
    child.once('message', (report) => {
      child.off('exit', ended)
      resolve(report as PeerReport)
    })
    child.send(command)
  })
}

/** What a process takes of the machine, from /proc. */
export function footprint(pid: number): { descriptors: number; residentBytes: number; cpuMs: number } {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8')
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
  // After the name in parentheses, which may hold anything; user and system time in hundredths of a second.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return {
    descriptors: readdirSync(`/proc/${pid}/fd`).length,
    residentBytes: 1024 * Number(/^VmRSS:\s+(\d+)/m.exec(status)?.[1]),
    cpuMs: 10 * (Number(fields[11]) + Number(fields[12])),
  }
}
