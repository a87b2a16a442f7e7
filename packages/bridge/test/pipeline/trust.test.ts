import { describe, expect, test } from 'vitest'
import { Scene } from './scene.ts'
import { clear, other, uplink } from './world.ts'

describe('an uplink that the network tells in clear', () => {
  test('is not passed on, and is counted; other events of the network are', async () => {
    await using scene = await Scene.start()
    expect(await scene.source.send(clear('forged'), other('status'), uplink(1, 1, 0))).toEqual([true, true, true])
    await expect.poll(() => scene.queue.events).toBe(0)
    expect(scene.sink.texts.toSorted()).toEqual(['1/1/0', 'network/none/event/other'])
    expect(scene.bridge.metrics.render()).toContain('mortise_bridge_not_encrypted_total{outcome="dropped"} 1')
    expect(scene.lines.some(({ message }) => message.includes('source.passClear'))).toBe(true)
  })

  test('is passed on where the owner wants that', async () => {
    await using scene = await Scene.start({ bridge: { passClear: true } })
    await scene.source.send(clear('of another device'))
    await expect.poll(() => scene.sink.texts).toEqual(['network/none/event/other'])
    expect(scene.bridge.metrics.render()).toContain('mortise_bridge_not_encrypted_total{outcome="passed"} 1')
  })
})

describe('what an operator is told', () => {
  test('is that something is wrong, and that it is well again, once each', async () => {
    await using scene = await Scene.start({ bridge: { timing: { lookMs: 10 } } })
    const told = () => scene.lines.filter(({ message }) => /wrong|well again/.test(message))
    scene.source.problem = 'the broker is gone'
    await expect.poll(() => told().length).toBe(1)
    scene.source.problem = undefined
    await expect
      .poll(() => told())
      .toEqual([
        { message: 'something is wrong', fields: { problem: 'the broker is gone' } },
        { message: 'all is well again', fields: undefined },
      ])
  })

  test('is that event after event is none of the network, until one is', async () => {
    await using scene = await Scene.start()
    const wrong = Array.from({ length: 10 }, (_, n) => ({
      topic: `t/${n}`,
      body: Buffer.from('{"kind":"uplink","id":"1"}'),
    }))
    await scene.source.send(...wrong.slice(1))
    expect(scene.bridge.problems()).toEqual([])
    await scene.source.send(...wrong.slice(0, 1))
    expect(scene.bridge.problems()).toEqual([expect.stringContaining('look at source.kind and encoding') as string])
    await scene.source.send(uplink(1, 1, 0))
    expect(scene.bridge.problems()).toEqual([])
  })

  test('is how many uplinks wait for a key, which is no reason to restart', async () => {
    await using scene = await Scene.start()
    await scene.source.send(uplink(1, 1, 0, { key: false }))
    await expect.poll(() => scene.bridge.notes()).toEqual(['1 uplinks wait for a session or a key'])
    expect(scene.bridge.problems()).toEqual([])
  })
})
