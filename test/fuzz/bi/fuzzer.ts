import { CaseFailure, type Fuzzer } from '../campaign.ts'
import { OracleFailure, demand } from '../failure.ts'
import type { Watched, WatchedProcess } from '../health.ts'
import { joinRequest } from '../lorawan.ts'
import { Random } from '../random.ts'
import { SecretScanner } from '../secret-scanner.ts'
import { Tally } from '../tally.ts'
import { trustBoundaryOf } from '../../support/processes.ts'
import { Callers } from './callers.ts'
import { Conversation, type Surroundings } from './conversation.ts'
import { DeviceModel } from './device-model.ts'
import { joinReq, joinReqWith } from './messages.ts'
import { SCENARIOS } from './scenarios.ts'
import { SharedHistory } from './shared-history.ts'
import { STREAM_SCENARIOS } from './stream-scenarios.ts'
import { type BiWorld, type EnrolledDevice, EXCLUSIVE_DEVICES } from './world.ts'

const SHARED_SHARE = 0.08
const DEV_NONCES_PER_CASE = 4
/** Every case has DevNonces of its own, of which a device has 65,536. */
export const MAX_CASES = Math.floor(65_535 / DEV_NONCES_PER_CASE) * EXCLUSIVE_DEVICES
/** Odd, so that it goes through all of them. */
const DEV_NONCE_STEP = 40_503
const CORPUS_SIZE = 32

/** Cases against the Backend Interfaces listener of a served installation. */
export class BiFuzzer implements Fuzzer {
  readonly target = 'bi'
  readonly seed: number
  readonly inFlight = 64
  readonly tally = new Tally()
  readonly #world: BiWorld
  readonly #callers: Callers
  readonly #models: readonly DeviceModel[]
  readonly #byEuis: ReadonlyMap<string, DeviceModel>
  readonly #shared: readonly { readonly device: EnrolledDevice; readonly history: SharedHistory }[]
  readonly #surroundings: Surroundings
  readonly #corpus: readonly Buffer[]
  /** The end of the last case that began with a device: one at a time uses it. */
  readonly #turns = new Map<number, Promise<undefined>>()

  constructor(world: BiWorld, seed: number) {
    const { exclusive, shared } = world.devices(seed)
    this.seed = seed
    this.#world = world
    this.#callers = new Callers(world)
    this.#models = exclusive.map((device) => new DeviceModel(device))
    this.#byEuis = new Map(this.#models.map((model) => [euisOf(model.device.joinEui, model.device.devEui), model]))
    this.#shared = shared.map((device) => ({ device, history: new SharedHistory() }))
    this.#surroundings = {
      callers: this.#callers,
      scanner: new SecretScanner(world.secrets()),
      find: (joinEui, devEui) => this.#byEuis.get(euisOf(joinEui, devEui)),
      count: (what) => {
        this.tally.add(what)
      },
    }
    const random = new Random(seed, 0xc0de)
    this.#corpus = Array.from({ length: CORPUS_SIZE }, (_, index) => {
      const device = this.#modelOf(index).device
      // With a wrong MIC: a whole message of another device would be accepted in the middle of that one's own case.
      const frame = joinRequest(device, random.below(65_536))
      frame.writeUInt8(frame.readUInt8(22) ^ 1, 22)
      return Buffer.from(JSON.stringify(joinReqWith(random, device, 'clear', frame)))
    })
  }

  async runCase(index: number): Promise<void> {
    const random = new Random(this.seed, index)
    const talk = new Conversation(random, this.#surroundings)
    try {
      if (random.chance(SHARED_SHARE)) {
        await random.weighted(STREAM_SCENARIOS)({ talk, ...random.pick(this.#shared) })
      } else {
        const slot = index % EXCLUSIVE_DEVICES
        await this.#inTurn(slot, () => this.#runOwn(talk, index))
      }
    } catch (error) {
      throw new CaseFailure(this, index, talk.sent, error)
    }
  }

  /** The server still answers a valid join, of every kind of device; nothing was wrong on the connections. */
  async checkStillServes(): Promise<void> {
    const [complaint] = this.#callers.complaints
    demand(complaint === undefined, 'http_stream', complaint ?? '')
    const random = new Random(this.seed, MAX_CASES)
    for (const [slot, model] of this.#models.entries()) {
      if (slot >= 16 || model.device.networks.length === 0) continue
      const talk = new Conversation(random, this.#surroundings)
      const devNonce = 65_535
      const body = Buffer.from(JSON.stringify(joinReq(random, model.device, 'clear', devNonce)))
      await talk.say('clear', body)
    }
  }

  async close(): Promise<void> {
    await this.#callers.close()
  }

  /** The processes that must outlive the campaign. */
  watched(): Watched {
    const { pid, ended, output } = this.#world.server
    demand(!ended, 'process_ended', `the server: ${output.slice(-500)}`)
    const { supervisor, workers } = trustBoundaryOf(pid)
    return new Map<string, WatchedProcess>([
      ['server', { pid, kind: 'server' }],
      ['supervisor', { pid: supervisor.pid, kind: 'supervisor' }],
      ...workers.map((worker, index) => [`worker ${index + 1}`, { pid: worker.pid, kind: 'worker' }] as const),
    ])
  }

  async #runOwn(talk: Conversation, index: number): Promise<void> {
    const { device } = this.#modelOf(index)
    const otherDevice = this.#modelOf(talk.random.below(EXCLUSIVE_DEVICES)).device
    let used = DEV_NONCES_PER_CASE * Math.floor(index / EXCLUSIVE_DEVICES)
    const rises = device.macVersion === '1.0.4' || device.macVersion === '1.1.0'
    const nextDevNonce = (): number => {
      const number = used++
      return rises ? number : Math.imul(number, DEV_NONCE_STEP) & 0xffff
    }
    await talk.random.weighted(SCENARIOS)({ talk, device, nextDevNonce, otherDevice, corpus: this.#corpus })
  }

  /** Cases of one device run one after another, so that the model knows what comes next. */
  async #inTurn(slot: number, run: () => Promise<void>): Promise<void> {
    const before = this.#turns.get(slot)
    const turn = Promise.withResolvers<undefined>()
    this.#turns.set(slot, turn.promise)
    try {
      await before
      await run()
    } finally {
      turn.resolve(undefined)
    }
  }

  #modelOf(index: number): DeviceModel {
    const model = this.#models[index % EXCLUSIVE_DEVICES]
    if (model === undefined) throw new OracleFailure('setup', 'no such device')
    return model
  }
}

function euisOf(joinEui: string, devEui: string): string {
  return `${joinEui}/${devEui}`
}
