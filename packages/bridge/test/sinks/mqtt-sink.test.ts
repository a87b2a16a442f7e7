import { setTimeout as sleep } from 'node:timers/promises'
import { parseDevEui } from '@mortise/lorawan'
import { connectAsync } from 'mqtt'
import { describe, expect, test } from 'vitest'
import { commandShape } from '../../src/chirpstack/index.ts'
import { BridgeError, type BridgeErrorCode } from '../../src/errors.ts'
import type { LogFields } from '../../src/log.ts'
import type { DownlinkCommand, Sink } from '../../src/sink.ts'
import { CommandInbox } from '../../src/sinks/command-inbox.ts'
import { MqttSink } from '../../src/sinks/mqtt-sink.ts'
import { Mosquitto } from '../mosquitto.ts'
import { Publisher } from '../mqtt/brokers.ts'
import { until } from '../until.ts'
import { MESSAGE, OTHER_MESSAGE } from './messages.ts'

const DEV_EUI = parseDevEui('70b3d57ed0061a01')
const COMMAND_TOPIC = `application/1/device/${DEV_EUI}/command/down`
const COMMAND = JSON.stringify({ devEui: DEV_EUI, fPort: 2, confirmed: true, data: 'bG9jaw==' })
const SEEN: DownlinkCommand = { devEui: DEV_EUI, fPort: 2, confirmed: true, payload: Buffer.from('lock') }

function readingSink(url: string): MqttSink {
  const form = { shape: 'reading', topic: 'readings/{devEui}' } as const
  return new MqttSink({ address: { url, clientId: 'sink' }, form, timing: { backOffMs: 20 } })
}

function sourceSink(url: string): { sink: MqttSink; warnings: LogFields[] } {
  const warnings: LogFields[] = []
  const log = { info: () => undefined, warn: (_text: string, fields: LogFields = {}) => void warnings.push(fields) }
  const form = { shape: 'source', inbox: new CommandInbox(commandShape('json'), log) } as const
  return { sink: new MqttSink({ address: { url, clientId: 'sink' }, form, timing: { backOffMs: 20 } }), warnings }
}

async function started(sink: Sink, command: (command: DownlinkCommand) => Promise<void> = () => Promise.resolve()) {
  await sink.start(command)
  await until(() => sink.problem === undefined)
}

async function listener(url: string): Promise<{ received: [string, string][]; end: () => Promise<void> }> {
  const client = await connectAsync(url)
  const received: [string, string][] = []
  client.on('message', (topic, payload) => received.push([topic, payload.toString()]))
  await client.subscribeAsync('#', { qos: 1 })
  return { received, end: () => client.endAsync(true) }
}

describe('readings to a broker', () => {
  test('go to a topic of their device, and other events nowhere', async () => {
    await using broker = await Mosquitto.start()
    const { received, end } = await listener(broker.url)
    const sink = readingSink(broker.url)
    await started(sink)
    await Promise.all([sink.deliver(MESSAGE), sink.deliver(OTHER_MESSAGE)])
    await until(() => received.length === 1)
    await sink.stop()
    await end()
    expect(received).toEqual([[`readings/${DEV_EUI}`, JSON.stringify(MESSAGE.reading)]])
  })

  test('in the shape of the source keep topic and event, as do other events', async () => {
    await using broker = await Mosquitto.start()
    const { received, end } = await listener(broker.url)
    const { sink } = sourceSink(broker.url)
    await started(sink)
    await Promise.all([sink.deliver(MESSAGE), sink.deliver(OTHER_MESSAGE)])
    await until(() => received.length === 2)
    await sink.stop()
    await end()
    expect(received).toEqual([MESSAGE, OTHER_MESSAGE].map(({ event }) => [event.topic, event.body.toString()]))
  })

  test('that a broker did not acknowledge have failed, and pass when it is back', async () => {
    await using broker = await Mosquitto.start()
    const sink = readingSink(broker.url)
    await expect(sink.deliver(MESSAGE)).rejects.toMatchObject({ code: 'sink_failed' })
    await started(sink)
    await sink.deliver(MESSAGE)
    await broker.kill()
    await until(() => sink.problem !== undefined)
    await expect(sink.deliver(MESSAGE)).rejects.toMatchObject({ code: 'sink_failed' })
    await broker.restart()
    await until(() => sink.problem === undefined)
    await sink.deliver(MESSAGE)
    await sink.stop()
  })

  test('under way when the connection ends have failed', async () => {
    await using broker = await Mosquitto.start()
    const sink = readingSink(broker.url)
    await started(sink)
    const kinds: string[] = []
    const settled = Array.from({ length: 500 }, () =>
      sink.deliver(MESSAGE).then(
        () => kinds.push('taken'),
        (error: unknown) => kinds.push(error instanceof BridgeError ? error.code : 'another'),
      ),
    )
    await settled[0]
    await broker.kill()
    await Promise.all(settled)
    expect(new Set(kinds)).toEqual(new Set(['taken', 'sink_failed']))
    await sink.stop()
  })

  test('larger than the broker takes are refused for ever, and the next one passes', async () => {
    await using broker = await Mosquitto.start({ lines: ['max_packet_size 2000'] })
    const { sink } = sourceSink(broker.url)
    await started(sink)
    const large = { event: { topic: 'application/1', body: Buffer.alloc(2000) } }
    await expect(sink.deliver(large)).rejects.toMatchObject({ code: 'sink_refused' })
    await sink.deliver({ event: { topic: 'application/1', body: Buffer.alloc(1900) } })
    await sink.stop()
  })

  test('a thousand at once pass the window', async () => {
    await using broker = await Mosquitto.start()
    const sink = readingSink(broker.url)
    await started(sink)
    await Promise.all(Array.from({ length: 1000 }, () => sink.deliver(MESSAGE)))
    await sink.stop()
  })

  test('names of sinks tell them apart and hold no secret', () => {
    const address = { url: 'mqtt://User.example', clientId: 'c', username: 'u', password: Buffer.from('secret') }
    const one = new MqttSink({ address, form: { shape: 'reading', topic: 'a' } })
    const two = new MqttSink({ address, form: { shape: 'reading', topic: 'b' } })
    expect([one.name, two.name]).toEqual(['mqtt://user.example:1883 a', 'mqtt://user.example:1883 b'])
  })
})

describe('commands from a broker', () => {
  test('are done with when the network took them over', async () => {
    await using broker = await Mosquitto.start()
    await using publisher = await Publisher.connect(broker.url)
    const first = sourceSink(broker.url).sink
    const seen: DownlinkCommand[] = []
    await started(first, (command) => Promise.resolve(void seen.push(command)))
    await publisher.publish(COMMAND, COMMAND_TOPIC)
    await until(() => seen.length === 1)
    await first.stop()
    // It was acknowledged: the next process does not see it.
    const second = sourceSink(broker.url).sink
    await started(second, (command) => Promise.resolve(void seen.push(command)))
    await publisher.publish(COMMAND.replace('2', '3'), COMMAND_TOPIC)
    await until(() => seen.length === 2)
    await second.stop()
    expect(seen).toEqual([SEEN, { ...SEEN, fPort: 3 }])
  })

  test('that were not taken over when the bridge stops come to the next process', async () => {
    await using broker = await Mosquitto.start()
    await using publisher = await Publisher.connect(broker.url)
    const first = sourceSink(broker.url).sink
    let tries = 0
    await started(first, () => {
      tries += 1
      return Promise.reject(new BridgeError('downlink_unknown', 'No answer.'))
    })
    await publisher.publish(COMMAND, COMMAND_TOPIC)
    await until(() => tries === 2)
    await first.stop()
    const seen: DownlinkCommand[] = []
    const second = sourceSink(broker.url).sink
    await started(second, (command) => Promise.resolve(void seen.push(command)))
    await until(() => seen.length === 1)
    await second.stop()
    expect(seen).toEqual([SEEN])
  })

  test.each<BridgeErrorCode>(['downlink_refused', 'device_unknown'])(
    'that end in %s are dropped and told of',
    async (code) => {
      await using broker = await Mosquitto.start()
      await using publisher = await Publisher.connect(broker.url)
      const { sink, warnings } = sourceSink(broker.url)
      let taken = 0
      await started(sink, ({ fPort }) => {
        if (fPort === 2) return Promise.reject(new BridgeError(code, 'Never.'))
        taken += 1
        return Promise.resolve()
      })
      await publisher.publish(COMMAND, COMMAND_TOPIC)
      await publisher.publish(COMMAND.replace('2', '3'), COMMAND_TOPIC)
      await until(() => taken === 1)
      await sink.stop()
      expect(warnings).toEqual([{ devEui: DEV_EUI, reason: 'Never.' }])
    },
  )

  test('that are retained are old, and nothing that was asked for just now', async () => {
    await using broker = await Mosquitto.start()
    const client = await connectAsync(broker.url)
    await client.publishAsync(COMMAND_TOPIC, COMMAND.replace('2', '9'), { qos: 1, retain: true })
    const { sink } = sourceSink(broker.url)
    const seen: DownlinkCommand[] = []
    await started(sink, (command) => Promise.resolve(void seen.push(command)))
    await client.publishAsync(COMMAND_TOPIC, COMMAND, { qos: 1 })
    await until(() => seen.length > 0)
    await sink.stop()
    await client.endAsync(true)
    expect(seen).toEqual([SEEN])
  })

  test('that are none are dropped and told of, without their content', async () => {
    await using broker = await Mosquitto.start()
    await using publisher = await Publisher.connect(broker.url)
    const { sink, warnings } = sourceSink(broker.url)
    let taken = 0
    await started(sink, () => Promise.resolve(void (taken += 1)))
    await publisher.publish('planted secret', COMMAND_TOPIC)
    await publisher.publish(COMMAND, COMMAND_TOPIC)
    await until(() => taken === 1)
    await sleep(50)
    await sink.stop()
    expect(warnings).toEqual([{ topic: `"${COMMAND_TOPIC}"`, reason: 'The event cannot be read: it is not JSON.' }])
  })
})
