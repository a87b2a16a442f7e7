import { readFileSync, renameSync } from 'node:fs'
import { join } from 'node:path'
import type { Device } from '@mortise/simulator'
import { expect } from 'vitest'
import { Installation, type ServerProcess } from './installation.ts'
import { enrolDevices, JoinLine } from './join-line.ts'
import { type Answer, ask } from './management.ts'
import { addPeer, AS_ID, NET_ID, setKek } from './parties.ts'

/** What the server says where its database cannot be written. */
const REFUSED = {
  result: 'Other',
  description: expect.stringMatching(/^the (disk is full|database is not available)$/) as string,
}

/** An installation whose devices join at the same time, and the JoinNonces that they were given. */
export class FleetScene implements AsyncDisposable {
  readonly installation: Installation
  /** The operator's files lie elsewhere, as docs/operations.md has them: options that name them. */
  readonly operator: readonly string[]
  readonly #apiKey: string
  readonly #directory: string
  readonly #joinNonces: ReadonlyMap<Device, number[]>

  private constructor(installation: Installation, directory: string, devices: readonly Device[]) {
    this.installation = installation
    const operator = join(installation.root, 'operator')
    renameSync(join(installation.data, 'operator'), operator)
    this.operator = ['--operator-key-file', join(operator, 'operator-key.pem')]
    this.#apiKey = readFileSync(join(operator, 'api-key'), 'utf8').trim()
    this.#directory = directory
    this.#joinNonces = new Map(devices.map((device) => [device, []]))
  }

  static async create(count: number): Promise<FleetScene> {
    await using cleanup = new AsyncDisposableStack()
    const installation = cleanup.use(await Installation.create())
    const directory = await addPeer(installation, 'ns', NET_ID)
    await setKek(installation, 'as', AS_ID, 'owner-1')
    const scene = new FleetScene(installation, directory, await enrolDevices(installation, count))
    cleanup.move()
    return scene
  }

  /** Each device over a connection of its own. */
  connect(server: ServerProcess): Fleet {
    const { biUrl } = server
    return new Fleet(
      Array.from(this.#joinNonces, ([device, given]) => [new JoinLine(biUrl, this.#directory, device), given]),
    )
  }

  /** None was given twice, and none was used up by a join that was refused. */
  expectEveryJoinNonceOnce(): void {
    for (const given of this.#joinNonces.values()) expect(given).toEqual(given.map((_, index) => index + 1))
  }

  ask(server: ServerProcess, path: string): Promise<Answer> {
    return ask(server, this.installation, path, this.#apiKey)
  }

  /** What keeps a server from being ready; empty when nothing does. */
  async readiness(server: ServerProcess): Promise<string> {
    const { status, body } = await this.ask(server, '/readyz')
    return status === 200 ? '' : body
  }

  async metric(server: ServerProcess, name: string): Promise<number> {
    const { body } = await this.ask(server, '/metrics')
    return Number(new RegExp(`^${name} (.*)$`, 'm').exec(body)?.[1])
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.installation[Symbol.asyncDispose]()
  }
}

export class Fleet implements Disposable {
  readonly #lines: readonly (readonly [JoinLine, number[]])[]

  constructor(lines: readonly (readonly [JoinLine, number[]])[]) {
    this.#lines = lines
  }

  /** Every device joins once; how many were accepted. The others were refused as they should be. */
  async joinOnce(): Promise<number> {
    const accepted = await Promise.all(this.#lines.map(([line, given]) => joinOnce(line, given)))
    return accepted.filter(Boolean).length
  }

  [Symbol.dispose](): void {
    for (const [line] of this.#lines) line[Symbol.dispose]()
  }
}

async function joinOnce(line: JoinLine, given: number[]): Promise<boolean> {
  const { result, description, joinNonce } = await line.join()
  if (joinNonce === undefined) expect({ result, description }).toEqual(REFUSED)
  else given.push(joinNonce)
  return joinNonce !== undefined
}
