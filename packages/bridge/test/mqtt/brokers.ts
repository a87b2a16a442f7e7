import { connectAsync, type MqttClient } from 'mqtt'
import type { MqttAddress } from '../../src/config.ts'
import type { Log, LogFields } from '../../src/log.ts'
import { MqttSource, type MqttTimingOptions } from '../../src/mqtt/index.ts'
import type { EventShape } from '../../src/network-event.ts'
import type { TakeEvent } from '../../src/source.ts'
import { until } from '../until.ts'

/** Sources do not look into events. */
const ANY_SHAPE: EventShape = {
  parse: () => ({ kind: 'other', id: '' }),
  fill: ({ body }) => body,
}

export interface SourceOfTest {
  readonly source: MqttSource
  readonly warnings: LogFields[]
}

export function newSource(
  address: Omit<MqttAddress, 'clientId'> & { clientId?: string },
  more: { topic?: string; atMostOnceWillDo?: boolean; timing?: MqttTimingOptions } = {},
): SourceOfTest {
  const warnings: LogFields[] = []
  const log: Log = { info: () => undefined, warn: (_text, fields = {}) => void warnings.push(fields) }
  const source = new MqttSource({
    address: { clientId: 'bridge', ...address },
    topic: 'application/#',
    shape: ANY_SHAPE,
    atMostOnceWillDo: false,
    log,
    timing: { backOffMs: 20 },
    ...more,
  })
  return { source, warnings }
}

/** Begins, and waits for the subscription. */
export async function started({ source }: SourceOfTest, take: TakeEvent): Promise<void> {
  await source.start(take)
  await until(() => source.problem === undefined)
}

/** A network server, as far as a broker sees it. */
export class Publisher implements AsyncDisposable {
  readonly #client: MqttClient

  private constructor(client: MqttClient) {
    this.#client = client
  }

  static async connect(url: string): Promise<Publisher> {
    return new Publisher(await connectAsync(url, { reconnectPeriod: 50 }))
  }

  async publish(text: string, topic = 'application/1/device/70b3d57ed0061a01/event/up', qos: 0 | 1 = 1): Promise<void> {
    await this.#client.publishAsync(topic, text, { qos })
  }

  async numbers(from: number, to: number): Promise<void> {
    await Promise.all(Array.from({ length: to - from }, (_, index) => this.publish(String(from + index))))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#client.endAsync(true)
  }
}

export function numbers(from: number, to: number): string[] {
  return Array.from({ length: to - from }, (_, index) => String(from + index))
}

export function textOf({ body }: { readonly body: Uint8Array }): string {
  return Buffer.from(body).toString()
}
