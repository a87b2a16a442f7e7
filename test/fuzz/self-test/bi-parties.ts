import { Callers } from '../bi/callers.ts'
import { isAcknowledgement } from '../bi/conversation.ts'
import type { DeviceModel } from '../bi/device-model.ts'
import { type Expectation, expectAnswer } from '../bi/expect.ts'
import type { Message } from '../bi/messages.ts'
import type { Caller } from '../bi/peers.ts'
import type { EnrolledDevice } from '../bi/devices.ts'
import { BiWorld } from '../bi/world.ts'
import type { HttpAnswer } from '../http/answer-parser.ts'
import { encodeRequest, post } from '../http/request.ts'
import { SecretScanner } from '../secret-scanner.ts'

const ANSWER_MS = 10_000

/** A real server, and its callers and devices: the oracle gets real answers, of which one thing is made wrong. */
export class BiParties implements AsyncDisposable {
  readonly world: BiWorld
  readonly scanner: SecretScanner
  readonly #callers: Callers
  readonly #unused: EnrolledDevice[]

  private constructor(world: BiWorld, seed: number) {
    this.world = world
    this.scanner = new SecretScanner(world.secrets())
    this.#callers = new Callers(world)
    this.#unused = [...world.devices(seed).exclusive]
  }

  static async create(seed: number): Promise<BiParties> {
    return new BiParties(await BiWorld.create([seed]), seed)
  }

  /** A device that nobody has had before. */
  device(wanted: (device: EnrolledDevice) => boolean): EnrolledDevice {
    const at = this.#unused.findIndex(wanted)
    const [device] = at < 0 ? [] : this.#unused.splice(at, 1)
    if (device === undefined) throw new RangeError('no such device is left')
    return device
  }

  /** What the server answers, in the response or at the URL of an asynchronous caller. */
  async ask(caller: Caller, message: Message): Promise<HttpAnswer> {
    const body = bodyOf(message)
    const { posted, header } = this.expected(caller, message, undefined)
    if (!posted || header === undefined) return await this.askDirectly(caller, body)
    const { answer } = this.world.inbox.expect(header, ANSWER_MS)
    isAcknowledgement(await this.askDirectly(caller, body))
    return await answer
  }

  askDirectly(caller: Caller, body: Buffer): Promise<HttpAnswer> {
    return this.#callers.of(caller).ask(encodeRequest(post(body)))
  }

  /** What the model of one device expects; of nobody's without one. */
  expected(caller: Caller, message: Message, model: DeviceModel | undefined): Expectation {
    const find = (joinEui: string, devEui: string): DeviceModel | undefined =>
      model?.device.joinEui === joinEui && model.device.devEui === devEui ? model : undefined
    return expectAnswer(find, caller, bodyOf(message))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#callers.close()
    await this.world[Symbol.asyncDispose]()
  }
}

export function bodyOf(message: Message): Buffer {
  return Buffer.from(JSON.stringify(message))
}

/** The same answer in other words. */
export function changed(answer: HttpAnswer, change: (text: string) => string): HttpAnswer {
  return { ...answer, body: Buffer.from(change(answer.body.toString())) }
}

/** With another first digit of this key. */
export function flippedKey(answer: HttpAnswer, name: string): HttpAnswer {
  const key = new RegExp(`("${name}":[^}]*"AESKey":")(.)`)
  return changed(answer, (text) => text.replace(key, (_all, before: string, digit: string) => before + other(digit)))
}

/** With another last digit of this text. */
export function flippedText(answer: HttpAnswer, name: string): HttpAnswer {
  const member = new RegExp(`("${name}":"[^"]*)(.)"`)
  return changed(answer, (text) =>
    text.replace(member, (_all, before: string, digit: string) => `${before}${other(digit)}"`),
  )
}

function other(digit: string): string {
  return digit === '0' ? '1' : '0'
}
