import { CaseFailure, type Fuzzer } from '../campaign.ts'
import { demand, OracleFailure } from '../failure.ts'
import type { Watched, WatchedProcess } from '../health.ts'
import { FRAME } from '../../../packages/hsm/src/contract/frames.ts'
import { Random } from '../random.ts'
import { SecretScanner } from '../secret-scanner.ts'
import { Tally } from '../tally.ts'
import { encodeJoin, honestJoin } from './commands.ts'
import { FrameConnection } from './connection.ts'
import { checkFrame } from './check-answer.ts'
import { bigEndian, prefixed } from './cursor.ts'
import { Link } from './link.ts'
import { OrderCases } from './orders.ts'
import { SCENARIOS } from './scenarios.ts'
import { type Surroundings, Talk } from './talk.ts'
import { unsealing } from './unsealing.ts'
import type { HsmWorld } from './world.ts'

const LINKS = 4
const ORDER_SHARE = 0.06
const UNSEAL_SHARE = 0.02
/** A worker takes sixteen connections of servers; the fuzzer keeps some and opens some. */
const CONNECTIONS_AT_END = 16

/** Cases against the sockets of the trust boundary: a supervisor with two workers, and one that stays sealed. */
export class HsmFuzzer implements Fuzzer {
  readonly target: 'hsm' | 'hsm-pkcs11'
  readonly seed: number
  readonly inFlight = 32
  readonly tally = new Tally()
  readonly #world: HsmWorld
  readonly #links: (Promise<Link> | undefined)[] = Array.from({ length: LINKS }, () => undefined)
  readonly #surroundings: Surroundings
  readonly #orders: OrderCases
  #next = 0

  constructor(world: HsmWorld, target: 'hsm' | 'hsm-pkcs11', seed: number) {
    this.target = target
    this.seed = seed
    this.#world = world
    this.#orders = new OrderCases(world.operator)
    this.#surroundings = {
      records: world.records,
      scanner: new SecretScanner(world.secrets()),
      link: () => this.#takeLink(),
      serverSocket: world.processes.serverSocket,
      custodianSocket: world.processes.custodianSocket,
      count: (what) => {
        this.tally.add(what)
      },
    }
  }

  async runCase(index: number): Promise<void> {
    const random = new Random(this.seed, index)
    const talk = new Talk(random, this.#surroundings)
    try {
      if (random.chance(ORDER_SHARE)) await this.#orders.run(talk)
      else if (random.chance(UNSEAL_SHARE)) await this.#unseal(talk)
      else await random.weighted(SCENARIOS)(talk)
    } catch (error) {
      throw new CaseFailure(this, index, talk.sent, error)
    }
  }

  /** Both workers still answer joins, all connections can be had again, and the sealed one opens with its passphrase. */
  async checkStillServes(): Promise<void> {
    const random = new Random(this.seed, 0xffffffff)
    const talk = new Talk(random, this.#surroundings)
    const links = await Promise.all(this.#links.filter((link) => link !== undefined))
    const [complaint] = links.flatMap((link) => link.complaint ?? [])
    demand(complaint === undefined, 'unasked_answer', complaint ?? '')
    for (let times = 0; times < 2 * LINKS; times++) {
      const session = await talk.join(encodeJoin(honestJoin(random, this.#world.records)))
      demand(session !== undefined, 'false_refusal', 'a join at the end')
    }
    const { processes, sealed, sealedHsm } = this.#world
    const many = await Promise.all(Array.from({ length: CONNECTIONS_AT_END }, () => Link.open(processes.serverSocket)))
    for (const link of many) link.close()
    const custodian = await FrameConnection.open(sealed.custodianSocket)
    const opened = await custodian.ask(FRAME.unseal, prefixed(sealedHsm.secret()))
    custodian.close()
    demand(opened?.type === FRAME.unsealed, 'sealed', 'the right passphrase does not open it')
  }

  /** The sealed one says so to every server that comes. */
  async checkSealed(): Promise<void> {
    const connection = await FrameConnection.open(this.#world.sealed.serverSocket)
    const { frames } = await connection.exchange([Buffer.concat([bigEndian(4, 12), Buffer.of(1, FRAME.hello)])], 20)
    const codes = frames.map((frame) => checkFrame(this.#surroundings.scanner, frame))
    demand(codes.join() === 'sealed', 'sealed', codes.join())
  }

  watched(): Watched {
    const { processes, sealed } = this.#world
    const workers = processes.workerPids().sort((one, other) => one - other)
    const kind = this.target === 'hsm' ? 'worker' : 'SoftHSM2 worker'
    return new Map<string, WatchedProcess>([
      ['supervisor', { pid: processes.pid, kind: 'supervisor' }],
      ...workers.map((pid, index) => [`worker ${index + 1}`, { pid, kind }] as const),
      ['sealed supervisor', { pid: sealed.pid, kind: 'supervisor' }],
    ])
  }

  async close(): Promise<void> {
    for (const opening of this.#links.splice(0)) {
      // One that could not be opened was the failure of a case.
      const link = await opening?.catch(() => undefined)
      link?.close()
    }
  }

  #unseal(talk: Talk): Promise<void> {
    const { sealed, sealedHsm } = this.#world
    return unsealing(talk, sealed.custodianSocket, sealedHsm.secret())
  }

  /** One of the links; a new one where it was closed. */
  async #takeLink(): Promise<Link> {
    const slot = this.#next++ % LINKS
    const known = this.#links[slot]
    if (known !== undefined && !(await known).closed) return await known
    if (this.#links[slot] === known) this.#links[slot] = Link.open(this.#surroundings.serverSocket)
    const link = await this.#links[slot]
    if (link === undefined) throw new OracleFailure('setup', 'no link')
    return link
  }
}
