import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, test } from 'vitest'
import { TestSink } from './parties.ts'
import { Scene } from './scene.ts'
import { devEuiOf, other, uplink } from './world.ts'

const LONG = { timeout: 20_000 }

function uplinks(count: number, from = 0) {
  return Array.from({ length: count }, (_, n) => uplink(1 + (n % 5), 1, from + n))
}

function textsOf(count: number, from = 0): string[] {
  return Array.from({ length: count }, (_, n) => `${1 + (n % 5)}/1/${from + n}`)
}

describe('of two sinks', () => {
  test('both get everything, and one that is down does not stop the other', async () => {
    const [alive, dead] = [new TestSink('alive'), new TestSink('dead')]
    await using scene = await Scene.start({ sinks: [alive, dead] })
    await scene.source.send(...uplinks(10))
    await expect.poll(() => scene.queue.events).toBe(0)
    dead.down = true
    for (let n = 1; n <= 5; n++) await scene.source.send(...uplinks(100, 100 * n))
    await expect.poll(() => alive.texts.length).toBe(510)
    expect(dead.texts).toHaveLength(10)
    await expect.poll(() => scene.bridge.problems()).toEqual([expect.stringContaining('dead: the last ') as string])
    expect(scene.queue.events).toBe(500)
    dead.down = false
    await expect.poll(() => dead.texts.length, LONG).toBe(510)
    await expect.poll(() => scene.queue.events).toBe(0)
    expect(new Set(dead.texts).size).toBe(510)
    expect(alive.texts).toHaveLength(510)
    expect(scene.bridge.problems()).toEqual([])
  })

  test('the one that has an event does not get it again from the next process', async () => {
    const [alive, dead] = [new TestSink('alive'), new TestSink('dead')]
    dead.down = true
    let directory
    {
      await using scene = await Scene.start({ sinks: [alive, dead] })
      directory = scene.directory
      await scene.source.send(...uplinks(20))
      await expect.poll(() => alive.texts.length).toBe(20)
    }
    const again = [new TestSink('alive'), new TestSink('dead')] as const
    await using scene = await Scene.start({ directory, sinks: again })
    await expect.poll(() => again[1].texts).toEqual(textsOf(20))
    await expect.poll(() => scene.queue.events).toBe(0)
    expect(again[0].received).toEqual([])
  })
})

describe('a sink', () => {
  test('gets messages in their order after it was down', async () => {
    await using scene = await Scene.start()
    scene.sink.down = true
    await scene.source.send(...uplinks(200))
    await expect.poll(() => scene.sink.attempts).toBeGreaterThan(66)
    scene.sink.down = false
    await expect.poll(() => scene.sink.texts.length, LONG).toBe(200)
    expect(scene.sink.texts).toEqual(textsOf(200))
  })

  test('gets messages in their order after its connection was lost, however long', async () => {
    await using scene = await Scene.start()
    scene.sink.isConnected = true
    await scene.source.send(...uplinks(10))
    await expect.poll(() => scene.sink.texts.length).toBe(10)
    scene.sink.isConnected = false
    await scene.source.send(...uplinks(200, 10))
    await expect.poll(() => scene.metric('readings_total')).toBe(210)
    const { attempts } = scene.sink
    await sleep(1500)
    expect(scene.sink.attempts).toBe(attempts)
    scene.sink.isConnected = true
    await expect.poll(() => scene.sink.texts.length, LONG).toBe(210)
    expect(scene.sink.texts).toEqual([...textsOf(10), ...textsOf(200, 10)])
  })

  test('that answers, and takes nothing of one device, gets those of the others, more than it is sent again', async () => {
    await using scene = await Scene.start()
    scene.sink.answers = true
    scene.sink.fails = ({ reading }) => reading?.devEui === devEuiOf(1)
    for (let n = 0; n < 13; n++) {
      await scene.source.send(...Array.from({ length: 100 }, (_, fCnt) => uplink(1, 1, 100 * n + fCnt)))
    }
    await scene.source.send(
      ...uplinks(50).slice(1, 5),
      ...Array.from({ length: 100 }, (_, fCnt) => uplink(2, 1, 50 + fCnt)),
    )
    await expect.poll(() => scene.sink.texts.length, { timeout: 50_000 }).toBe(104)
    expect(scene.queue.events).toBe(1300)
  })

  test('that refuses a message for good does not get it again, and gets the others', async () => {
    await using scene = await Scene.start()
    scene.sink.refuses = ({ reading }) => reading?.fCnt === 3
    await scene.source.send(...uplinks(6))
    await expect.poll(() => scene.queue.events).toBe(0)
    expect(scene.sink.texts).toEqual(textsOf(6).filter((text) => !text.endsWith('/3')))
    expect(scene.sink.attempts).toBe(6)
    expect(scene.bridge.metrics.render()).toContain('mortise_bridge_sink_refused_total{sink="one"} 1')
  })

  test('that fails with one message alone gets all others, and that one when it takes it', async () => {
    await using scene = await Scene.start()
    scene.sink.fails = ({ reading }) => reading?.fCnt === 3
    for (let n = 0; n < 10; n++) await scene.source.send(...uplinks(50, 50 * n))
    await expect.poll(() => scene.sink.texts.length, LONG).toBe(499)
    expect(scene.queue.events).toBe(1)
    scene.sink.fails = () => false
    await expect.poll(() => scene.sink.texts.length, LONG).toBe(500)
    await expect.poll(() => scene.queue.events).toBe(0)
  })

  test('has no more messages under way than its window', async () => {
    await using scene = await Scene.start({ bridge: { timing: { sinkWindow: 7 } } })
    const release = scene.sink.hold()
    await scene.source.send(...uplinks(100))
    await expect.poll(() => scene.sink.underWay).toBe(7)
    release()
    await expect.poll(() => scene.sink.texts.length).toBe(100)
    expect(scene.sink.mostUnderWay).toBe(7)
  })

  test('that lags behind what is kept in memory gets the rest from disk, opened again', async () => {
    await using scene = await Scene.start({ maxEvents: 50_000 })
    scene.sink.down = true
    for (let n = 0; n < 10; n++) await scene.source.send(...uplinks(1000, 1000 * n))
    await expect.poll(() => scene.metric('readings_total'), LONG).toBe(10_000)
    scene.sink.down = false
    await expect.poll(() => scene.sink.texts.length, LONG).toBe(10_000)
    expect(new Set(scene.sink.texts).size).toBe(10_000)
    await expect.poll(() => scene.queue.events).toBe(0)
    expect(scene.metric('copies_total')).toBe(0)
  })
})

describe('a full queue', () => {
  test('is not acknowledged, is said, and goes on when there is room', async () => {
    await using scene = await Scene.start({ maxEvents: 10 })
    scene.sink.down = true
    expect(await scene.source.send(...uplinks(10))).toEqual(Array.from({ length: 10 }, () => true))
    expect(await scene.source.send(other('late'))).toEqual([false])
    expect(scene.source.refusals).toEqual(['queue_full'])
    expect(scene.bridge.problems()).toContainEqual(expect.stringContaining('the queue is full: 10 events'))
    expect(scene.bridge.metrics.render()).toContain('mortise_bridge_refused_total{reason="queue_full"} 1')
    scene.sink.down = false
    await expect.poll(() => scene.queue.events, LONG).toBe(0)
    expect(await scene.source.send(other('late'))).toEqual([true])
    await expect.poll(() => scene.sink.texts.length).toBe(11)
    expect(scene.bridge.problems()).toEqual([])
  })
})

describe('a stop', () => {
  test('finishes what is in flight, and leaves the rest for the next process', async () => {
    let directory
    const window = 4
    {
      await using scene = await Scene.start({ bridge: { timing: { sinkWindow: window } } })
      directory = scene.directory
      const release = scene.sink.hold()
      expect((await scene.source.send(...uplinks(10))).every(Boolean)).toBe(true)
      await expect.poll(() => scene.sink.underWay).toBe(window)
      const stopped = scene.bridge.stop()
      await new Promise((resolve) => setTimeout(resolve, 50))
      release()
      await stopped
      expect(scene.sink.texts).toEqual(textsOf(window))
      expect([scene.source.stopped, scene.sink.stopped]).toEqual([true, true])
      expect(scene.queue.events).toBe(10 - window)
    }
    await using again = await Scene.start({ directory })
    await expect.poll(() => again.sink.texts).toEqual(textsOf(10).slice(window))
  })

  test('does not wait for ever for a receiver that does not answer', async () => {
    await using scene = await Scene.start({ bridge: { timing: { stopMs: 100 } } })
    scene.sink.hold()
    await scene.source.send(...uplinks(3))
    await expect.poll(() => scene.sink.underWay).toBe(3)
    await scene.bridge.stop()
    expect(scene.queue.events).toBe(3)
    expect(scene.lines.at(-1)).toEqual({ message: 'the bridge has stopped', fields: { waiting: 3, finished: false } })
  })
})
