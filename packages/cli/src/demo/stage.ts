import type { ChildProcess } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { type DataDirectory, dataDirectory } from '@mortise/server'
import { APPLICATION_SERVER_MAIN, CommandProcess, NETWORK_SERVER_MAIN, SecureElementProcess } from '@mortise/simulator'
import { end, ended, startMortise } from './mortise-process.ts'
import { DemoError, type Narrator } from './narrator.ts'

const START_TIMEOUT_MS = 30_000

/** A throw-away installation with everybody who takes part, each a process of its own. */
export class Stage implements AsyncDisposable {
  readonly root: string
  readonly directory: DataDirectory
  readonly secureElement = new SecureElementProcess()
  readonly #narrator: Narrator
  readonly #children: ChildProcess[] = []
  readonly #parties: CommandProcess[] = []
  #biUrl = ''
  #isOver = false

  constructor(narrator: Narrator) {
    this.root = mkdtempSync(join(tmpdir(), 'mortise-demo-'))
    this.directory = dataDirectory(join(this.root, 'data'))
    this.#narrator = narrator
  }

  /** A file of this play, with mode 0600. */
  write(name: string, content: string): string {
    const path = join(this.root, name)
    writeFileSync(path, content, { mode: 0o600 })
    return path
  }

  /** A command, told and run. @throws DemoError when it fails */
  async mortise(...words: string[]): Promise<string> {
    this.#narrator.command(words)
    return await this.#run(words, ['--data', this.directory.root])
  }

  /** The same for a command that works on no installation. */
  async elsewhere(...words: string[]): Promise<string> {
    this.#narrator.command(words)
    return await this.#run(words, [])
  }

  async #run(words: readonly string[], more: readonly string[]): Promise<string> {
    const { code, stdout, stderr } = await ended(this.#spawn([...words, ...more], 'pipe'))
    if (code !== 0) throw new DemoError(`mortise ${words.join(' ')} failed: ${stderr}`)
    return stdout
  }

  /** The trust boundary and the server, as two processes. */
  async startServers(passphraseFile: string): Promise<void> {
    const data = ['--data', this.directory.root]
    this.start('hsm', 'serve', '--passphrase-file', passphraseFile, ...data)
    const ports = ['--bi-listen', '127.0.0.1:0', '--api-listen', '127.0.0.1:0']
    const server = this.start('serve', '--hsm-socket', this.directory.serverSocket, ...ports, ...data)
    const deadline = Date.now() + START_TIMEOUT_MS
    while (!this.#isReady(await this.#status())) {
      if (Date.now() > deadline || server.exitCode !== null) throw new DemoError('the server did not become ready')
      await delay(100)
    }
    const { bi } = JSON.parse(readFileSync(this.directory.serverFile, 'utf8')) as { bi: string }
    this.#biUrl = `https://${bi}/`
  }

  /** Where the Backend Interfaces are served. */
  get biUrl(): string {
    return this.#biUrl
  }

  /** A network operator, with the certificate that Mortise issued and a KEK if it has one. */
  networkServer(name: string, netId: string, kek?: PartyKek): CommandProcess {
    const configuration = { netId, protocolVersion: '1.0', ...this.#connection(name), keks: kek ? [kek] : [] }
    return this.#party(name, NETWORK_SERVER_MAIN, configuration)
  }

  /** An owner's application server: the only one who can open its AppSKeys. */
  applicationServer(name: string, asId: string, kek: PartyKek): CommandProcess {
    const configuration = { asId, protocolVersion: '1.0', ...this.#connection(name), keks: [kek] }
    return this.#party(name, APPLICATION_SERVER_MAIN, configuration)
  }

  /** Ends everybody and deletes everything; again, it does nothing. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#isOver = true
    for (const party of this.#parties) await party[Symbol.asyncDispose]()
    await this.secureElement[Symbol.asyncDispose]()
    // The server first: it makes the last receipts durable while the HSM process still runs.
    for (const child of this.#children.toReversed()) await end(child)
    rmSync(this.root, { recursive: true, force: true })
  }

  /** A command that goes on, and is ended with the play; before those that were started before it. */
  start(...words: string[]): ChildProcess {
    this.#narrator.command(words)
    return this.#spawn(words, 'ignore')
  }

  #spawn(words: readonly string[], output: 'ignore' | 'pipe'): ChildProcess {
    // A story that was broken off may be between two steps.
    if (this.#isOver) throw new DemoError('the play is over')
    const child = startMortise(words, output)
    this.#children.push(child)
    return child
  }

  async #status(): Promise<string> {
    const { stdout } = await ended(this.#spawn(['status', '--json', '--data', this.directory.root], 'pipe'))
    return stdout
  }

  #isReady(status: string): boolean {
    if (!status.startsWith('{')) return false
    const { running, hsm } = JSON.parse(status) as { running?: boolean; hsm?: { state?: string } }
    return running === true && hsm?.state === 'ready'
  }

  #connection(name: string) {
    return {
      url: this.#biUrl,
      caFile: join(name, 'ca.pem'),
      certFile: join(name, 'cert.pem'),
      keyFile: join(name, 'key.pem'),
    }
  }

  #party(name: string, program: URL, configuration: object): CommandProcess {
    const path = this.write(`${name}.json`, JSON.stringify(configuration))
    const party = new CommandProcess({ program, args: ['--config', path] })
    this.#parties.push(party)
    return party
  }
}

export interface PartyKek {
  readonly label: string
  readonly keyFile: string
}

/** A new KEK as both sides get it: a file with hex digits. */
export function newKekFile(stage: Stage, name: string, bytes: 16 | 32): string {
  return stage.write(name, `${randomBytes(bytes).toString('hex')}\n`)
}
