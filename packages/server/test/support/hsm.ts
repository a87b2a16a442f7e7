import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import {
  type CeremonyAnswer,
  type CeremonyRequest,
  HSM_CEREMONY_MAIN,
  HSM_SUPERVISOR_MAIN,
  hsmStatus,
  unseal,
} from '@mortise/hsm'
import { makeOperator, type Operator } from './orders.ts'

export const TEST_PASSPHRASE = 'a passphrase for tests'
const PARENT_PIPE = 3
const START_TIMEOUT_MS = 20_000

/** A real soft HSM process in a directory of its own. */
export interface TestHsm extends AsyncDisposable {
  /** Has `hsm/` in it, and room for a database. */
  readonly root: string
  readonly hsmId: string
  readonly importPublicKey: Buffer
  readonly operator: Operator
  readonly serverSocket: string
  readonly custodianSocket: string
  /** Starts the process, by default unsealed; resolves when it listens, or serves. */
  start(options?: { sealed?: boolean }): Promise<void>
  unseal(): Promise<void>
  /** Ends the process in good order. */
  stop(): Promise<void>
  /** As `kill -9`. */
  kill(): Promise<void>
}

/** Makes a soft HSM by the ceremony and starts it. */
export async function startHsm(options: { sealed?: boolean } = {}): Promise<TestHsm> {
  const hsm = await makeHsm()
  await hsm.start(options)
  return hsm
}

/** Makes a soft HSM by the ceremony; its process is not started. */
export async function makeHsm(): Promise<TestHsm> {
  const root = mkdtempSync(join(tmpdir(), 'mortise-server-'))
  const operator = makeOperator()
  const secretFile = join(root, 'passphrase')
  writeFileSync(secretFile, `${TEST_PASSPHRASE}\n`, { mode: 0o600 })
  mkdirSync(join(root, 'run'), { mode: 0o700 })
  const created = await holdCeremony({
    directory: join(root, 'hsm'),
    backend: { kind: 'soft' },
    secretFile,
    operatorPublicKey: operator.publicKey.toString('base64'),
    recoveryFile: join(root, 'recovery.json'),
    recoveryKeyFile: join(root, 'recovery-key'),
  })
  return new SoftHsmProcess(root, secretFile, operator, created)
}

class SoftHsmProcess implements TestHsm {
  readonly root: string
  readonly hsmId: string
  readonly importPublicKey: Buffer
  readonly operator: Operator
  readonly serverSocket: string
  readonly custodianSocket: string
  readonly #secretFile: string
  #child: ChildProcess | undefined

  constructor(root: string, secretFile: string, operator: Operator, created: CeremonyAnswer & { ok: true }) {
    this.root = root
    this.hsmId = created.hsmId
    this.importPublicKey = Buffer.from(created.importPublicKey, 'base64')
    this.operator = operator
    this.serverSocket = join(root, 'run', 'server.sock')
    this.custodianSocket = join(root, 'run', 'custodian.sock')
    this.#secretFile = secretFile
  }

  async start({ sealed = false } = {}): Promise<void> {
    const options = [
      ...['--directory', join(this.root, 'hsm')],
      ...['--server-socket', this.serverSocket, '--custodian-socket', this.custodianSocket],
      ...['--workers', '1', '--parent-fd', String(PARENT_PIPE)],
      ...(sealed ? [] : ['--secret-file', this.#secretFile]),
    ]
    this.#child = spawn(process.execPath, [fileURLToPath(HSM_SUPERVISOR_MAIN), ...options], {
      stdio: ['ignore', 'ignore', 'ignore', 'pipe'],
    })
    await this.#reached(sealed ? 'sealed' : 'unsealed')
  }

  unseal(): Promise<void> {
    return unseal(this.custodianSocket, Buffer.from(TEST_PASSPHRASE))
  }

  /** By the end of the pipe, as when its server ends. */
  stop(): Promise<void> {
    return this.#end((child) => child.stdio[PARENT_PIPE]?.destroy())
  }

  kill(): Promise<void> {
    return this.#end((child) => child.kill('SIGKILL'))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop()
    rmSync(this.root, { recursive: true, force: true })
  }

  async #end(tell: (child: ChildProcess) => void): Promise<void> {
    const child = this.#child
    this.#child = undefined
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return
    const ended = once(child, 'exit')
    tell(child)
    await ended
  }

  async #reached(state: 'sealed' | 'unsealed'): Promise<void> {
    const deadline = Date.now() + START_TIMEOUT_MS
    while (Date.now() < deadline) {
      if (existsSync(this.custodianSocket)) {
        const status = await hsmStatus(this.custodianSocket).catch(() => undefined)
        if (status?.state === state) return
      }
      await delay(20)
    }
    throw new Error(`the HSM process was not ${state} in time`)
  }
}

async function holdCeremony(request: CeremonyRequest): Promise<CeremonyAnswer & { ok: true }> {
  const answer = await new Promise<string>((resolve, reject) => {
    const child = execFile(process.execPath, [fileURLToPath(HSM_CEREMONY_MAIN)], (error, stdout) => {
      if (error !== null) reject(new Error('the ceremony failed', { cause: error }))
      else resolve(stdout)
    })
    child.stdin?.end(JSON.stringify(request))
  })
  const created = JSON.parse(answer) as CeremonyAnswer
  if (!created.ok) throw new Error(created.message)
  return created
}
