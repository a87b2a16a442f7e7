import { once } from 'node:events'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as delay } from 'node:timers/promises'
import { connectAsync, type MqttClient } from 'mqtt'
import { expect, test } from 'vitest'
import { BenchDevice } from '../../scripts/chirpstack-uplink.ts'
import { Mosquitto } from '../mosquitto.ts'
import { directory } from '../pipeline/scene.ts'
import { type Arrival, missing, moreThanInFlight, repetitions } from './checks.ts'
import { ended, startProgram } from './children.ts'
import { Random } from './random.ts'
import { KILLS, SEED, timeoutMs } from './settings.ts'

/** A start with all of a bridge takes longer than one with its core. */
const MOSQUITTO_KILLS = Math.ceil(KILLS / 5)
const DEVICES = 20
const UPLINKS_PER_TICK = 5
/** The brokers are not killed: writing all they hold at every change would only slow them down. */
const BROKER = { lines: ['autosave_interval 0', 'autosave_on_changes false'] }
/** What a default Mosquitto sends before it is acknowledged, and the window of the sink. */
const IN_FLIGHT = 20 + 64

test(`between two Mosquitto, killed ${MOSQUITTO_KILLS} times (seed ${SEED}), a bridge of ChirpStack events loses none and repeats few`, {
  timeout: timeoutMs(KILLS),
}, async () => {
  const random = new Random(SEED)
  const data = directory()
  await using network = await Mosquitto.start(BROKER)
  await using applications = await Mosquitto.start(BROKER)
  const publisher = await connectAsync(network.url, { protocolVersion: 5 })
  const receiver = await connectAsync(applications.url, { protocolVersion: 5 })
  const sent = new Set<string>()
  let life = 0
  const arrivals: Arrival[] = []
  await receiver.subscribeAsync('application/+/device/+/event/up', { qos: 1 })
  receiver.on('message', (_topic, body) => arrivals.push(arrivalOf(body, life)))
  const start = () =>
    startProgram(
      '../../scripts/bridge-process.ts',
      [network.url, applications.url, join(data, 'bridge')],
      ['pipe', 'pipe', 'ignore'],
    )

  let bridge = start()
  // The broker keeps for the bridge what comes after its first subscription.
  await ready(bridge)
  const pressure = press(publisher, sent)
  for (life = 1; life <= MOSQUITTO_KILLS; life++) {
    const before = arrivals.length
    await expect.poll(() => arrivals.length, { interval: 5, timeout: 20_000 }).toBeGreaterThan(before)
    await delay(random.below(300))
    await ended(bridge, 'SIGKILL')
    bridge = start()
  }
  pressure.stop()
  await expect.poll(() => missing(sent, arrivals).length, { timeout: 60_000 }).toBe(0)
  await ended(bridge, 'SIGTERM')
  expect(bridge.exitCode).toBe(0)

  const { perLife, wrong } = repetitions(arrivals)
  expect(wrong).toEqual([])
  expect(moreThanInFlight(perLife, IN_FLIGHT)).toEqual([])
  expect(sent.size).toBeGreaterThan(10 * MOSQUITTO_KILLS)
  console.log(
    `seed ${SEED}, ${MOSQUITTO_KILLS} kills: ${sent.size} uplinks, ${arrivals.length - sent.size} readings twice, ` +
      `at most ${Math.max(0, ...perLife.values())} after a kill`,
  )
  await Promise.all([publisher.endAsync(), receiver.endAsync()])
})

async function ready({ stdin, stdout }: ReturnType<typeof startProgram>): Promise<void> {
  if (stdin === null || stdout === null) throw new Error('no pipes')
  const lines = createInterface({ input: stdout })
  for (;;) {
    const line = once(lines, 'line')
    stdin.write('\n')
    const [text] = (await line) as [string]
    if ((JSON.parse(text) as { problems: string[] }).problems.length === 0) return
    await delay(20)
  }
}

function press(publisher: MqttClient, sent: Set<string>): { stop(): void } {
  const devices = Array.from({ length: DEVICES }, (_, number) => new BenchDevice(number))
  const timer = setInterval(() => {
    for (let n = 0; n < UPLINKS_PER_TICK; n++) {
      const device = devices[sent.size % DEVICES]!
      const text = `uplink ${sent.size}`
      sent.add(text)
      publisher.publish(device.topic, device.uplink(Buffer.from(text)), { qos: 1 })
    }
  }, 10)
  return {
    stop: () => {
      clearInterval(timer)
    },
  }
}

function arrivalOf(body: Buffer, life: number): Arrival {
  const { deviceInfo, fCnt, data } = JSON.parse(body.toString()) as {
    readonly deviceInfo: { readonly devEui: string }
    readonly fCnt: number
    readonly data: string
  }
  return { name: `${deviceInfo.devEui} ${fCnt}`, text: Buffer.from(data, 'base64').toString(), life }
}
