import type { MqttAddress } from '../config.ts'
import type { EventShape } from '../network-event.ts'
import type { Log } from '../log.ts'
import type { Source, TakeEvent } from '../source.ts'
import { isUsableTopic, matchesFilter, quoted } from '../topic.ts'
import { MqttConnection, type MqttTimingOptions } from './connection.ts'

export interface MqttSourceOptions {
  readonly address: MqttAddress
  /** Topic filter of the network's events. */
  readonly topic: string
  readonly shape: EventShape
  /** As {@link MqttConnection} has it. */
  readonly atMostOnceWillDo: boolean
  readonly log: Log
  readonly timing?: MqttTimingOptions | undefined
}

/** Events of a network over MQTT: acknowledged to the broker when they were taken over, and sent again by it if not. */
export class MqttSource implements Source {
  readonly shape: EventShape
  readonly #connection: MqttConnection
  #take: TakeEvent | undefined

  /** @throws {BridgeError} `config_invalid` */
  constructor({ address, topic, shape, atMostOnceWillDo, log, timing }: MqttSourceOptions) {
    this.shape = shape
    this.#connection = new MqttConnection({
      address,
      timing,
      atMostOnceWillDo,
      subscriptions: [topic],
      onMessage: async (eventTopic, body) => {
        if (this.#take === undefined) throw new Error('Nobody takes events yet.')
        // Sinks repeat the topic at the owner's broker: the network's chooses none that was not asked for.
        const isExpected = isUsableTopic(eventTopic) && matchesFilter(eventTopic, topic)
        if (isExpected) await this.#take({ topic: eventTopic, body })
        else log.warn('an event was dropped, because of its topic', { topic: quoted(eventTopic) })
      },
    })
  }

  get problem(): string | undefined {
    return this.#connection.problem
  }

  start(take: TakeEvent): Promise<void> {
    this.#take = take
    this.#connection.start()
    return Promise.resolve()
  }

  async stop(): Promise<void> {
    await this.#connection.stop()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop()
  }
}
