import { type ChildProcess, spawn } from 'node:child_process'
import { pbkdf2Sync, randomBytes } from 'node:crypto'
import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import { userInfo } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { DemoError } from '../narrator.ts'

/** Where Debian and others put it, which is not in the PATH of every user. */
const DIRECTORIES = ['/usr/sbin', '/usr/local/sbin', '/usr/bin', '/usr/local/bin', '/opt/homebrew/sbin']
const START_TIMEOUT_MS = 10_000

export interface BrokerAccount {
  readonly user: string
  readonly password: string
  /** Lines of Mosquitto's access list, such as `topic read application/#`. */
  readonly access: readonly string[]
}

/** @throws DemoError when Mosquitto is not installed */
export function findMosquitto(path = process.env['PATH'] ?? '', others: readonly string[] = DIRECTORIES): string {
  const places = [...path.split(':'), ...others].map((directory) => join(directory, 'mosquitto'))
  const found = places.find((place) => existsSync(place))
  if (found !== undefined) return found
  throw new DemoError('Mosquitto, the MQTT broker, is not installed: apt-get install mosquitto')
}

/**
 * Runs a program until standard input ends, which it does with the process that holds its other end, however that ends.
 * The shell ends with the program.
 */
const KEEPER =
  'exec 3<&0; "$@" </dev/null 3<&- & broker=$!; (cat <&3 >/dev/null; kill $broker) & reader=$!; wait $broker; kill $reader'

/** A real Mosquitto on this machine, with accounts and without anonymous clients. */
export class Mosquitto implements AsyncDisposable {
  readonly port: number
  readonly #child: ChildProcess

  private constructor(port: number, child: ChildProcess) {
    this.port = port
    this.#child = child
  }

  /** `directory` is made, and gets its files. @throws DemoError */
  static async start(directory: string, accounts: readonly BrokerAccount[]): Promise<Mosquitto> {
    const program = findMosquitto()
    const port = await freePort()
    mkdirSync(directory, { mode: 0o700 })
    const file = (name: string, lines: readonly string[]): string => {
      const path = join(directory, name)
      writeFileSync(path, `${lines.join('\n')}\n`, { mode: 0o600 })
      return path
    }
    const passwords = file('passwords', accounts.map(passwordLine))
    const access = accounts.flatMap((account) => [`user ${account.user}`, ...account.access])
    const configuration = [
      `listener ${port} 127.0.0.1`,
      'allow_anonymous false',
      `password_file ${passwords}`,
      `acl_file ${file('access', access)}`,
      // Started by root it would become another user, who may not read these files.
      `user ${userInfo().username}`,
      'persistence false',
      // Nothing may be dropped because a client is slow.
      'max_queued_messages 0',
      'log_dest none',
    ]
    const command = ['-c', KEEPER, 'keeper', program, '-c', file('mosquitto.conf', configuration)]
    const child = spawn('sh', command, { stdio: ['pipe', 'ignore', 'ignore'] })
    const broker = new Mosquitto(port, child)
    await broker.#started()
    return broker
  }

  get url(): string {
    return `mqtt://127.0.0.1:${this.port}`
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return
    const closed = new Promise((resolve) => this.#child.once('exit', resolve))
    this.#child.stdin?.end()
    await closed
  }

  async #started(): Promise<void> {
    const deadline = Date.now() + START_TIMEOUT_MS
    while (!(await accepts(this.port))) {
      if (Date.now() > deadline || this.#child.exitCode !== null) {
        await this[Symbol.asyncDispose]()
        throw new DemoError(`Mosquitto did not begin to listen on port ${this.port}`)
      }
      await delay(20)
    }
  }
}

/** As mosquitto_passwd writes it: PBKDF2 of SHA-512, 101 rounds. */
function passwordLine({ user, password }: BrokerAccount): string {
  const salt = randomBytes(12)
  const hash = pbkdf2Sync(password, salt, 101, 64, 'sha512')
  return `${user}:$7$101$${salt.toString('base64')}$${hash.toString('base64')}`
}

/** A port that nobody has now. */
export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer()
    server.once('error', reject)
    server.listen(0, '127.0.0.1', () => {
      const address = server.address()
      server.close(() => {
        resolve(typeof address === 'object' && address !== null ? address.port : 0)
      })
    })
  })
}

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1')
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
    socket.once('error', () => {
      resolve(false)
    })
  })
}
