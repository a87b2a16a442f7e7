import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { type CommandResult, Installation } from '../../support/installation.ts'
import { demand } from '../failure.ts'
import { Random } from '../random.ts'
import { SecretScanner } from '../secret-scanner.ts'
import { mutateBinary, mutateJson, mutateLine, mutateLines, mutateYaml } from './mutations.ts'
import { CONFIGURATIONS, DEVICE_FILES, FILE_SECRETS, KEK_FILES, KEYS_FILES } from './seeds.ts'

type Command = (world: CliWorld, random: Random, keep: (bytes: Buffer) => Buffer) => Promise<CommandResult>

const SERVE_MS = 15_000
const INSIDE = /\n {4}at |\b(?:Type|Range|Reference|Syntax)Error\b|\bunexpected\b|node:internal/
/** How a refusal is told; a server tells what its HSM process says as well. */
const TOLD = /^mortise(?: hsm)?: error: .+$/m

const COMMANDS: readonly Command[] = [
  (world, random, keep) => world.addDevices(keep(mutateLines(random, random.pick(DEVICE_FILES), DEVICE_FILES))),
  (world, random, keep) => world.addDevice(random, keep(mutateJson(random, random.pick(KEYS_FILES), KEYS_FILES))),
  (world, random, keep) => world.setKek(random, keep(mutateLine(random, random.pick(KEK_FILES), KEK_FILES))),
  (world, random, keep) => world.serveWith('mortise.yaml', keep(mutateYaml(random, random.pick(CONFIGURATIONS), []))),
  (world, random, keep) =>
    world.serveWith('hsm/backend.json', keep(mutateJson(random, world.fileOf('hsm/backend.json'), []))),
  (world, random, keep) => world.serveWith('hsm/store', keep(mutateBinary(random, world.fileOf('hsm/store'), []))),
]

/** An installation that no server serves, on which the real commands run with damaged files. */
export class CliWorld implements AsyncDisposable {
  readonly #installation: Installation
  readonly #scanner = new SecretScanner(FILE_SECRETS)
  #turn: Promise<unknown> = Promise.resolve()

  private constructor(installation: Installation) {
    this.#installation = installation
  }

  static async create(): Promise<CliWorld> {
    return new CliWorld(await Installation.create('soft'))
  }

  /** One command at a time: they share a directory. */
  runCase(seed: number, index: number, input: Buffer[]): Promise<string> {
    const done = this.#turn.then(() => this.#runCase(seed, index, input))
    this.#turn = done.catch(() => undefined)
    return done
  }

  fileOf(name: string): Buffer {
    return readFileSync(join(this.#installation.data, name))
  }

  addDevices(file: Buffer): Promise<CommandResult> {
    return this.#installation.try('device', 'add', '--file', this.#secret('devices.jsonl', file))
  }

  addDevice(random: Random, keys: Buffer): Promise<CommandResult> {
    const euis = ['--dev-eui', random.bytes(8).toString('hex'), '--join-eui', random.bytes(8).toString('hex')]
    const version = keys.includes('nwkKey') ? '1.1' : '1.0.3'
    const options = ['--mac-version', version, '--keys-file', this.#secret('keys.json', keys)]
    return this.#installation.try('device', 'add', ...euis, ...options)
  }

  setKek(random: Random, key: Buffer): Promise<CommandResult> {
    const options = ['--label', `label-${random.uint32()}`, '--key-file', this.#secret('kek.hex', key)]
    return this.#installation.try('kek', 'set', '--as', 'door-app', ...options)
  }

  /** Serves with one file damaged, until it ends or runs; then the file is as it was. */
  async serveWith(name: string, bytes: Buffer): Promise<CommandResult> {
    const path = join(this.#installation.data, name)
    const before = name === 'mortise.yaml' ? Buffer.alloc(0) : readFileSync(path)
    writeFileSync(path, bytes)
    const listen = ['--bi-listen', '127.0.0.1:0', '--api-listen', '127.0.0.1:0']
    // What the file says of the HSM is to be read, not overruled.
    const secret = name === 'mortise.yaml' ? [] : this.#installation.secretOption()
    const server = this.#installation.start('serve', ...listen, ...secret)
    try {
      const deadline = Date.now() + SERVE_MS
      while (!server.ended && Date.now() < deadline && !/HSM: (?:ready|sealed)|waiting for/.test(server.output))
        await delay(20)
      const code = server.ended ? (server.child.exitCode ?? -1) : 0
      return { code, stdout: '', stderr: server.output }
    } finally {
      await server.kill()
      writeFileSync(path, before)
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#installation[Symbol.asyncDispose]()
  }

  async #runCase(seed: number, index: number, input: Buffer[]): Promise<string> {
    const random = new Random(seed, index)
    const command = random.pick(COMMANDS)
    const keep = (bytes: Buffer): Buffer => {
      input.push(bytes)
      return bytes
    }
    const { code, stdout, stderr } = await command(this, random, keep)
    demand([0, 1, 2].includes(code), 'exit_code', `${code}: ${stderr}`)
    demand(code === 0 || TOLD.test(stderr), 'untold', stderr)
    demand(!INSIDE.test(stdout + stderr), 'inside_shown', stderr)
    const secrets = this.#scanner.find(Buffer.from(stdout + stderr))
    demand(secrets.length === 0, 'secret_in_output', secrets.join(', '))
    return `mortise, exit code ${code}`
  }

  #secret(name: string, content: Buffer): string {
    const path = this.#installation.secret(name, '')
    writeFileSync(path, content)
    return path
  }
}
