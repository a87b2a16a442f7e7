import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { directory } from '../pipeline/scene.ts'
import { missing, moreThanInFlight, repetitions, usedTwice } from './checks.ts'
import { ended, startProgram } from './children.ts'
import { Load } from './load.ts'
import { Network } from './network.ts'
import { Random } from './random.ts'
import { Receiver } from './receiver.ts'
import { KILLS, SEED, timeoutMs } from './settings.ts'

const SOURCE_WINDOW = 50
const SINK_WINDOW = 32
const TICK_MS = 5
const UPLINKS_PER_TICK = 5

const NAME = `killed ${KILLS} times under load (seed ${SEED}), a bridge loses no uplink, repeats few, and seals none twice`

test(NAME, { timeout: timeoutMs(KILLS) }, async () => {
  const random = new Random(SEED)
  const data = directory()
  const paths = ['bridge', 'source.sock', 'sink.sock'].map((name) => join(data, name))
  const [, source = '', sink = ''] = paths
  await using network = await Network.listen(source, SOURCE_WINDOW)
  await using receiver = await Receiver.listen(sink)
  const load = new Load(random)
  const start = () => startProgram('bridge-process.ts', [...paths, String(SINK_WINDOW)], ['ignore', 'ignore', 'ignore'])

  let bridge = start()
  const pressure = press(network, receiver, load)
  for (let kill = 1; kill <= KILLS; kill++) {
    // Some are killed while they start, the others at work.
    if (random.chance(0.85)) await expect.poll(() => network.connected, { interval: 5, timeout: 20_000 }).toBe(true)
    await delay(random.below(300))
    await ended(bridge, 'SIGKILL')
    receiver.life = kill
    bridge = start()
  }
  pressure.stop()
  await expect.poll(() => network.unfinished + receiver.unfinishedCommands, { timeout: 60_000 }).toBe(0)
  await expect.poll(() => missing(load.texts, receiver.arrivals).length, { timeout: 60_000 }).toBe(0)
  await ended(bridge, 'SIGTERM')
  expect(bridge.exitCode).toBe(0)

  const { perLife, wrong } = repetitions(receiver.arrivals)
  expect(wrong).toEqual([])
  expect(moreThanInFlight(perLife, SOURCE_WINDOW + SINK_WINDOW)).toEqual([])
  expect(usedTwice(receiver.downlinks)).toEqual([])
  expect(receiver.done).toBeGreaterThan(0)
  console.log(
    `seed ${SEED}, ${KILLS} kills: ${load.texts.size} uplinks, ${network.sentAgain} events sent again by the network, ` +
      `${receiver.arrivals.length - load.texts.size} readings twice (at most ${Math.max(0, ...perLife.values())} after a kill), ` +
      `${receiver.downlinks.length} downlinks for ${receiver.done} commands; refused: ${[...new Set(receiver.failures)].join() || 'none'}`,
  )
})

/** Uplinks and commands, all the time, but no more than a thousand that wait. */
function press(network: Network, receiver: Receiver, load: Load): { stop(): void } {
  let commands = 0
  const timer = setInterval(() => {
    for (let n = 0; n < UPLINKS_PER_TICK && network.unfinished < 1000; n++) {
      for (const event of load.next()) network.publish(event)
    }
    if (receiver.unfinishedCommands < 10) {
      receiver.command({ devEui: load.device(), payload: Buffer.from(`command ${commands++}`).toString('hex') })
    }
  }, TICK_MS)
  return {
    stop: () => {
      clearInterval(timer)
    },
  }
}
