import { pbkdf2Sync, randomBytes } from 'node:crypto'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { connect as connectSocket, createServer } from 'node:net'
import { tmpdir, userInfo } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

/** Debian has it where the PATH of a user does not look. */
const DIRECTORIES = [...(process.env['PATH'] ?? '').split(':'), '/usr/sbin', '/usr/local/sbin']

export interface MosquittoOptions {
  /** PEM files; with them the listener speaks TLS. */
  readonly tls?: { readonly certFile: string; readonly keyFile: string } | undefined
  /** Name and password of the only user; anybody may connect without. */
  readonly user?: { readonly name: string; readonly password: string } | undefined
  /** More lines of mosquitto.conf. */
  readonly lines?: readonly string[] | undefined
}

/** A real Mosquitto on a free port of this machine. It keeps sessions and messages in a directory of its own. */
export class Mosquitto implements AsyncDisposable {
  readonly port: number
  readonly #directory: string
  #child: ChildProcess | undefined

  private constructor(port: number, directory: string) {
    this.port = port
    this.#directory = directory
  }

  static async start(options: MosquittoOptions = {}): Promise<Mosquitto> {
    const directory = mkdtempSync(join(tmpdir(), 'mortise-mosquitto-'))
    const broker = new Mosquitto(await freePort(), directory)
    writeFileSync(join(directory, 'mosquitto.conf'), broker.#config(options))
    await broker.restart()
    return broker
  }

  get url(): string {
    return `mqtt://127.0.0.1:${this.port}`
  }

  /** Ends it as an administrator would: it writes down what it holds. */
  async stop(): Promise<void> {
    await this.#end('SIGTERM')
  }

  /** Ends it at once. What was published more than a second ago is on disk. */
  async kill(): Promise<void> {
    await this.#end('SIGKILL')
  }

  /** Begins on the same port with the same data. */
  async restart(): Promise<void> {
    await this.stop()
    const child = spawn(program(), ['-c', join(this.#directory, 'mosquitto.conf')], { stdio: 'ignore' })
    this.#child = child
    // A test that runs out of time disposes of nothing.
    const kill = (): void => {
      child.kill('SIGKILL')
    }
    process.once('exit', kill)
    child.once('exit', () => {
      process.off('exit', kill)
    })
    while (!(await accepts(this.port))) {
      if (child.exitCode !== null) throw new Error(`mosquitto ended with ${child.exitCode}`)
      await sleep(20)
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill()
    rmSync(this.#directory, { recursive: true })
  }

  async #end(signal: 'SIGTERM' | 'SIGKILL'): Promise<void> {
    const child = this.#child
    this.#child = undefined
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return
    const ended = once(child, 'exit')
    child.kill(signal)
    await ended
  }

  #config({ tls, user, lines = [] }: MosquittoOptions): string {
    return [
      `user ${userInfo().username}`,
      `listener ${this.port} 127.0.0.1`,
      ...(tls === undefined ? [] : [`certfile ${tls.certFile}`, `keyfile ${tls.keyFile}`]),
      ...(user === undefined ? ['allow_anonymous true'] : [`password_file ${this.#passwordFile(user)}`]),
      'persistence true',
      `persistence_location ${this.#directory}/`,
      'autosave_on_changes true',
      'autosave_interval 1',
      'max_queued_messages 0',
      ...lines,
      '',
    ].join('\n')
  }

  #passwordFile({ name, password }: { readonly name: string; readonly password: string }): string {
    const file = join(this.#directory, 'passwords')
    writeFileSync(file, `${name}:${hashed(password)}\n`, { mode: 0o600 })
    return file
  }
}

/** mosquitto_passwd's format 7: PBKDF2 over SHA-512. */
function hashed(password: string): string {
  const salt = randomBytes(12)
  const hash = pbkdf2Sync(password, salt, 101, 64, 'sha512')
  return `$7$101$${salt.toString('base64')}$${hash.toString('base64')}`
}

function program(): string {
  const found = DIRECTORIES.map((directory) => join(directory, 'mosquitto')).find((path) => existsSync(path))
  if (found === undefined) throw new Error('mosquitto is not installed: apt-get install mosquitto')
  return found
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  server.close()
  await once(server, 'close')
  if (typeof address !== 'object' || address === null) throw new Error('no port')
  return address.port
}

async function accepts(port: number): Promise<boolean> {
  const socket = connectSocket(port, '127.0.0.1')
  return await new Promise((resolve) => {
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
    socket.once('error', () => {
      resolve(false)
    })
  })
}
