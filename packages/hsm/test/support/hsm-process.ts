import { type ChildProcess, spawn } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { createConnection, type Socket } from 'node:net'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { HsmClient, type HsmClientState } from '../../src/client/client.ts'
import { hsmStatus } from '../../src/client/custodian-client.ts'
import { encodeFrame, FRAME, type Frame, FrameSplitter, type FrameType } from '../../src/contract/frames.ts'
import { decodeRefusal, encodeHello } from '../../src/contract/session.ts'
import { decodeReceipt } from '../../src/receipts/receipt.ts'
import type { ReceiptBundle } from '../../src/receipts/head.ts'
import type { TestHsm } from './test-hsm.ts'

const SUPERVISOR_MAIN = fileURLToPath(new URL('../../src/supervisor/main.ts', import.meta.url))
const START_TIMEOUT_MS = 20_000

/** The real processes: a supervisor, started as `mortise serve` starts it, and its workers. */
export class HsmProcess implements AsyncDisposable {
  readonly serverSocket: string
  readonly custodianSocket: string
  readonly child: ChildProcess
  stderr = ''
  readonly #closables: { close(): Promise<void> | void }[] = []

  private constructor(hsm: TestHsm, options: readonly string[]) {
    this.serverSocket = join(hsm.root, 'server.sock')
    this.custodianSocket = join(hsm.root, 'custodian.sock')
    const sockets = ['--server-socket', this.serverSocket, '--custodian-socket', this.custodianSocket]
    const args = [SUPERVISOR_MAIN, '--directory', hsm.directory, ...sockets, '--parent-fd', '3', ...options]
    this.child = spawn(process.execPath, args, { stdio: ['ignore', 'ignore', 'pipe', 'pipe'] })
    this.child.stderr?.on('data', (chunk: Buffer) => {
      this.stderr += chunk.toString()
    })
  }

  /** Starts it and waits until it serves, or, without `--secret-file`, until it listens. */
  static async start(hsm: TestHsm, { workers = 2, sealed = false } = {}): Promise<HsmProcess> {
    const secret = sealed ? [] : ['--secret-file', hsm.secretFile]
    const started = new HsmProcess(hsm, ['--workers', String(workers), ...secret])
    await started.#until(sealed ? 'sealed' : 'unsealed')
    return started
  }

  /** Starts it where it is expected to end by itself. */
  static async fail(hsm: TestHsm): Promise<{ code: number | null; stderr: string }> {
    await using started = new HsmProcess(hsm, ['--workers', '1', '--secret-file', hsm.secretFile])
    await started.ended()
    return { code: started.child.exitCode, stderr: started.stderr }
  }

  get pid(): number {
    return this.child.pid ?? 0
  }

  /** Process ids of the workers that run now. */
  workerPids(): number[] {
    return readdirSync('/proc').flatMap((name) =>
      /^\d+$/.test(name) && parentOf(name) === this.pid ? [Number(name)] : [],
    )
  }

  client(options: { knownEpoch?: () => number; database?: TestDatabase } = {}): HsmClient {
    const database = options.database ?? new TestDatabase()
    const client: HsmClient = new HsmClient({
      socketPath: this.serverSocket,
      knownEpoch: options.knownEpoch ?? (() => 0),
      onReceipts: (bundle) => {
        database.store(bundle, client)
        return Promise.resolve()
      },
      onState: (state) => database.states.push(state),
    })
    this.#closables.push(client)
    return client
  }

  async readyClient(options: Parameters<HsmProcess['client']>[0] = {}): Promise<HsmClient> {
    const client = this.client(options)
    await until(() => client.state === 'ready')
    return client
  }

  /** A connection with free choice of every byte; welcomed, unless it says nothing. */
  async rawConnection(knownEpoch: number | 'no hello' = 0): Promise<RawConnection> {
    let raw = await this.#openRaw()
    if (knownEpoch === 'no hello') return raw
    // While no worker is ready, a connection is closed again.
    await until(async () => {
      if (raw.closed) raw = await this.#openRaw()
      return (await raw.ask(FRAME.hello, encodeHello({ knownEpoch }))).type === FRAME.welcome
    })
    return raw
  }

  async #openRaw(): Promise<RawConnection> {
    const raw = await RawConnection.open(this.serverSocket)
    this.#closables.push(raw)
    return raw
  }

  /** As the server ends it. */
  async stop(): Promise<void> {
    this.child.kill('SIGTERM')
    await this.ended()
  }

  async ended(): Promise<void> {
    await until(() => this.child.exitCode !== null || this.child.signalCode !== null)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const closable of this.#closables) await closable.close()
    if (this.child.exitCode === null && this.child.signalCode === null) await this.stop()
  }

  async #until(state: 'sealed' | 'unsealed'): Promise<void> {
    await until(async () => {
      if (this.child.exitCode !== null) throw new Error(`the HSM process ended: ${this.stderr}`)
      try {
        return (
          (await hsmStatus(this.custodianSocket)).state === state &&
          (state === 'sealed' || this.stderr.includes('unsealed'))
        )
      } catch {
        return false
      }
    })
  }
}

/** What the server's database keeps of receipts; it acknowledges what it has, unless it is told not to. */
export class TestDatabase {
  readonly receipts = new Map<string, Buffer>()
  readonly heads: ReceiptBundle['heads'][number][] = []
  readonly states: HsmClientState[] = []
  acknowledges = true

  store(bundle: ReceiptBundle, client: HsmClient): void {
    for (const receipt of bundle.receipts) this.add(receipt)
    this.heads.push(...bundle.heads)
    for (const { bootEpoch, worker, sequence, closing } of bundle.heads)
      if (closing && this.acknowledges) client.acknowledgeReceipts({ bootEpoch, worker, sequence })
  }

  add(receipt: Buffer): void {
    const { bootEpoch, worker, sequence } = decodeReceipt(receipt)
    this.receipts.set(`${bootEpoch}/${worker}/${sequence}`, receipt)
  }
}

/** A client of the socket that keeps to no rule. */
export class RawConnection {
  readonly #socket: Socket
  readonly #splitter = new FrameSplitter()
  readonly #waiting = new Map<number, (frame: Frame) => void>()
  readonly unasked: Frame[] = []
  closed = false
  #nextId = 1

  private constructor(socket: Socket) {
    this.#socket = socket
    socket.on('error', () => socket.destroy())
    socket.on('close', () => {
      this.closed = true
      for (const resolve of this.#waiting.values()) resolve(CLOSED)
    })
    socket.on('data', (chunk: Buffer) => {
      for (const frame of this.#splitter.push(chunk)) this.#receive(frame)
    })
  }

  static async open(path: string): Promise<RawConnection> {
    const socket = createConnection(path)
    await new Promise<void>((resolve, reject) => {
      socket.once('connect', resolve)
      socket.once('error', reject)
    })
    return new RawConnection(socket)
  }

  /** Sends a frame and waits for the answer with its id. */
  ask(type: number, payload: Buffer): Promise<Frame> {
    const id = this.#nextId++
    return new Promise((resolve) => {
      if (this.closed) {
        resolve(CLOSED)
        return
      }
      this.#waiting.set(id, resolve)
      this.write(encodeFrame(type as FrameType, id, payload))
    })
  }

  /** The code of the refusal, or `accepted`. */
  async code(type: number, payload: Buffer): Promise<string> {
    return codeOfFrame(await this.ask(type, payload))
  }

  write(bytes: Buffer): void {
    this.#socket.write(bytes)
  }

  close(): void {
    this.#socket.destroy()
  }

  #receive(frame: Frame): void {
    const resolve = this.#waiting.get(frame.requestId)
    this.#waiting.delete(frame.requestId)
    if (resolve === undefined) this.unasked.push(frame)
    else resolve(frame)
  }
}

const CLOSED: Frame = { type: 0, requestId: 0, payload: Buffer.alloc(0) }

export function codeOfFrame(frame: Frame): string {
  if (frame === CLOSED) return 'closed'
  return frame.type === FRAME.refused ? decodeRefusal(frame.payload).code : 'accepted'
}

export async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = Date.now() + START_TIMEOUT_MS
  while (!(await condition())) {
    if (Date.now() > deadline) throw new Error(`not in time: ${condition.toString()}`)
    await delay(10)
  }
}

/** The parent of a process, from the fourth field of its `stat` (the second is a name in brackets). */
export function parentOf(pid: string): number | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1])
  } catch {
    return undefined
  }
}
