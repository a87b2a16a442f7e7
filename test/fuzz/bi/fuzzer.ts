import { CaseFailure, type Fuzzer } from '../campaign.ts'
import { OracleFailure, demand } from '../failure.ts'
import type { Watched, WatchedProcess } from '../health.ts'
import { joinRequest, rejoinRequest } from '../air-requests.ts'
import { Random } from '../random.ts'
import { SecretScanner } from '../secret-scanner.ts'
import { Tally } from '../tally.ts'
import { trustBoundaryOf } from '../../support/processes.ts'
import { Callers } from './callers.ts'
import { Conversation, type Surroundings } from './conversation.ts'
import { DeviceModel } from './device-model.ts'
import { joinReq, joinReqWith, type Message, rejoinReqWith } from './messages.ts'
import { idOf } from './peers.ts'
import { REJOIN_SCENARIOS } from './rejoin-scenarios.ts'
import { SCENARIOS } from './scenarios.ts'
import { SharedHistory } from './shared-history.ts'
import { STREAM_SCENARIOS } from './stream-scenarios.ts'
import type { EnrolledDevice } from './devices.ts'
import { type BiWorld, EXCLUSIVE_DEVICES } from './world.ts'

const SHARED_SHARE = 0.08
const DEV_NONCES_PER_CASE = 4
/** Rejoins of devices that have none are refused, whatever they are. */
const SCENARIOS_10 = [...SCENARIOS, ...REJOIN_SCENARIOS.slice(0, 1)]
const SCENARIOS_11 = [...SCENARIOS, ...REJOIN_SCENARIOS, ...REJOIN_SCENARIOS]
/** Every case has DevNonces of its own, of which a device has 65,536. */
export const MAX_CASES = Math.floor(65_535 / DEV_NONCES_PER_CASE) * EXCLUSIVE_DEVICES
/** Used by no case. */
const LAST_COUNT = 65_535
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
      inbox: world.inbox,
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
      const count = random.below(65_536)
      const [frame, makeMessage] = random.chance(0.7)
        ? [joinRequest(device, count), joinReqWith]
        : [rejoinRequest(device, { type: 1, netId: '', count, mic: Buffer.alloc(0) }), rejoinReqWith]
      frame.writeUInt8(frame.readUInt8(frame.length - 1) ^ 1, frame.length - 1)
      return Buffer.from(JSON.stringify(makeMessage(random, device, 'clear', frame)))
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

  /** The server still answers a valid join and a valid rejoin, of every kind of device; nothing was wrong on the connections. */
  async checkStillServes(): Promise<void> {
    const [complaint] = this.#callers.complaints
    demand(complaint === undefined, 'http_stream', complaint ?? '')
    const { complaint: unclaimed } = this.#world.inbox
    demand(unclaimed === undefined, 'unasked_answer', unclaimed ?? '')
    const random = new Random(this.seed, MAX_CASES)
    for (const [slot, model] of this.#models.entries()) {
      if (slot >= 18 || model.device.networks.length === 0) continue
      const talk = new Conversation(random, this.#surroundings)
      const say = (message: Message): Promise<unknown> => talk.say('clear', Buffer.from(JSON.stringify(message)))
      await say(joinReq(random, model.device, 'clear', LAST_COUNT))
      const fields = { type: 1, netId: idOf('clear'), count: LAST_COUNT, mic: Buffer.alloc(0) } as const
      await say(rejoinReqWith(random, model.device, 'clear', rejoinRequest(model.device, fields)))
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
    const nextRjCount1 = (): number => used++
    const nextDevNonce = (): number => (rises ? used++ : Math.imul(used++, DEV_NONCE_STEP) & 0xffff)
    const own = { talk, device, nextDevNonce, nextRjCount1, otherDevice, corpus: this.#corpus }
    const scenarios = device.nwkKey === undefined ? SCENARIOS_10 : SCENARIOS_11
    await talk.random.weighted(scenarios)(own)
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
