import type { MqttAddress } from '../config.ts'
import { MqttConnection, type MqttTimingOptions, brokerName } from '../mqtt/index.ts'
import type { Message, Sink } from '../sink.ts'
import type { CommandInbox, RunCommand } from './command-inbox.ts'
import { readingJson } from './reading-json.ts'

export interface MqttSinkOptions {
  readonly address: MqttAddress
  readonly form:
    | { readonly shape: 'source'; readonly inbox: CommandInbox }
    /** One topic for all readings; `{devEui}` in it is replaced. */
    | { readonly shape: 'reading'; readonly topic: string }
  readonly timing?: MqttTimingOptions | undefined
}

/** Readings to a broker, in QoS 1; and, in the source's own form, the commands of applications from it. */
export class MqttSink implements Sink {
  readonly name: string
  readonly #connection: MqttConnection
  readonly #form: MqttSinkOptions['form']

  /** @throws {BridgeError} `config_invalid` */
  constructor({ address, form, timing }: MqttSinkOptions) {
    this.#form = form
    this.name = form.shape === 'source' ? `${brokerName(address)} as source` : `${brokerName(address)} ${form.topic}`
    this.#connection = new MqttConnection({
      address,
      timing,
      subscriptions: form.shape === 'source' ? form.inbox.filters : [],
      onMessage: (topic, body) => (form.shape === 'source' ? form.inbox.take(topic, body) : Promise.resolve()),
    })
  }

  get problem(): string | undefined {
    return this.#connection.problem
  }

  get isConnected(): boolean {
    return this.#connection.problem === undefined
  }

  start(command: RunCommand): Promise<void> {
    if (this.#form.shape === 'source') this.#form.inbox.start(command)
    this.#connection.start()
    return Promise.resolve()
  }

  async deliver(message: Message): Promise<void> {
    const { reading, event } = message
    if (this.#form.shape === 'source') {
      this.#form.inbox.learn(message)
      await this.#connection.publish(event.topic, event.body)
    } else if (reading !== undefined) {
      await this.#connection.publish(this.#form.topic.replaceAll('{devEui}', reading.devEui), readingJson(reading))
    }
  }

  async stop(): Promise<void> {
    if (this.#form.shape === 'source') this.#form.inbox.stop()
    await this.#connection.stop()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop()
  }
}
