import { AnswerError } from '@mortise/backend-interfaces'
import { hexToBytes } from '@mortise/lorawan'
import { ASK_AGAIN_AFTER_MS, type SessionReference } from '@mortise/application-server'
import { describe, expect, test } from 'vitest'
import { Scene } from './scene.ts'
import { appSKeyOf, devEuiOf, eventOf, idOf, join, KEK, KEK_LABEL, other, sessionOf, uplink, wrapped } from './world.ts'

const SECOND_KEK = Buffer.alloc(16, 0x22)

/** A join server that knows every session of the tests, as soon as it is told to answer. */
function joinServer() {
  return {
    asked: 0,
    answers: false,
    fetchEnvelope({ devEui, sessionKeyId }: SessionReference) {
      this.asked++
      if (!this.answers) return Promise.reject(new AnswerError('connection', 'nobody listens'))
      const device = Number(BigInt(`0x${devEui}`) - BigInt(`0x${devEuiOf(0)}`))
      const aesKey = wrapped(appSKeyOf(device, sessionKeyId[1] ?? 0))
      return Promise.resolve({ kekLabel: KEK_LABEL, aesKey })
    },
  }
}

describe('an uplink', () => {
  test('becomes a reading, and the event of the network with the payload in clear', async () => {
    await using scene = await Scene.start()
    expect(await scene.source.send(uplink(1, 1, 70_000, { text: 'open', profile: 'door' }))).toEqual([true])
    await expect.poll(() => scene.sink.received).toHaveLength(1)
    const [message] = scene.sink.received
    expect(message?.reading).toEqual({
      devEui: devEuiOf(1),
      deviceName: undefined,
      time: '1970-01-01T00:00:01.000Z',
      fPort: 2,
      fCnt: 70_000,
      sessionKeyId: '0101',
      session: expect.stringMatching(/^[0-9a-f]{32}$/) as string,
      data: Buffer.from('open').toString('base64'),
      object: undefined,
      codecError: undefined,
      rx: [{ gatewayId: 'gw-1', rssi: -90 }],
      source: 'test',
    })
    expect(message?.event.topic).toBe(`network/${devEuiOf(1)}/event/uplink`)
    expect(JSON.parse(Buffer.from(message?.event.body ?? []).toString())).toMatchObject({
      data: Buffer.from('open').toString('hex'),
    })
    await expect.poll(() => scene.queue.events).toBe(0)
    expect(scene.metric('readings_total')).toBe(1)
    expect(scene.bridge.problems()).toEqual([])
  })

  test('that comes twice is passed on once, as the same event or as another one, at once or later', async () => {
    await using scene = await Scene.start()
    const first = uplink(1, 1, 0)
    expect(await scene.source.send(first, first, uplink(1, 1, 0, { copy: 1 }))).toEqual([true, true, true])
    await expect.poll(() => scene.queue.events).toBe(0)
    expect(await scene.source.send(first, uplink(1, 1, 0, { copy: 2 }), uplink(1, 1, 1))).toEqual([true, true, true])
    await expect.poll(() => scene.queue.events).toBe(0)
    expect(scene.sink.texts).toEqual(['1/1/0', '1/1/1'])
    expect(scene.metric('copies_total')).toBe(4)
  })

  test('may be late, and its counter of 16 bits may roll over', async () => {
    await using scene = await Scene.start()
    const counters = [65_533, 65_535, 65_534, 65_537, 65_536]
    for (const fCnt of counters) await scene.source.send(uplink(1, 1, fCnt, { fCnt16: true }))
    await expect.poll(() => scene.sink.received).toHaveLength(5)
    expect(scene.sink.received.map(({ reading }) => reading?.fCnt)).toEqual(counters)
    expect(scene.sink.texts).toEqual(counters.map((fCnt) => `1/1/${fCnt}`))
  })

  test('is read without its join event, and in the session of a join event that came with the key alone', async () => {
    await using scene = await Scene.start()
    await scene.source.send(uplink(1, 1, 0))
    await scene.source.send(join(2, 1), uplink(2, 1, 0, { key: false }), uplink(2, 1, 1, { key: 'none' }))
    await expect.poll(() => scene.sink.texts.toSorted()).toEqual(['1/1/0', '2/1/0', '2/1/1', join(2, 1).topic])
  })

  test('of a new session, and late ones of the old one, are read each with its key', async () => {
    await using scene = await Scene.start()
    await scene.source.send(
      uplink(1, 1, 0),
      uplink(1, 1, 2),
      join(1, 2),
      uplink(1, 2, 0),
      uplink(1, 1, 1),
      uplink(1, 2, 1),
    )
    await expect.poll(() => scene.queue.events).toBe(0)
    expect(scene.sink.texts).toEqual(['1/1/0', '1/1/2', join(1, 2).topic, '1/2/0', '1/1/1', '1/2/1'])
    const sessions = scene.sink.received.flatMap(({ reading }) => reading?.session ?? [])
    expect(new Set(sessions).size).toBe(2)
  })
})

describe('what has no payload of an application', () => {
  test('is passed on as it came', async () => {
    await using scene = await Scene.start()
    await scene.source.send(other('status'))
    await expect.poll(() => scene.sink.received).toHaveLength(1)
    const [message] = scene.sink.received
    expect(message?.reading).toBeUndefined()
    expect(Buffer.from(message?.event.body ?? [])).toEqual(other('status').body)
  })

  test('so is a join with which nothing can be done, and it is counted', async () => {
    await using scene = await Scene.start()
    const told = { ...sessionOf(1, 1), appSKey: { kekLabel: '', aesKey: '00'.repeat(16) } }
    await scene.source.send(eventOf({ kind: 'join', id: idOf('join'), ...told }))
    await expect.poll(() => scene.sink.received).toHaveLength(1)
    expect(scene.bridge.metrics.render()).toContain('mortise_bridge_join_failed_total{reason="key_in_clear"} 1')
  })

  test('what is no event is acknowledged, dropped and counted; the next one is taken', async () => {
    await using scene = await Scene.start()
    const broken = { topic: 'network/event', body: Buffer.from('{planted') }
    expect(await scene.source.send(broken, other('a'))).toEqual([true, true])
    await expect.poll(() => scene.sink.received).toHaveLength(1)
    expect(scene.bridge.metrics.render()).toContain('mortise_bridge_dropped_total{reason="event_malformed"} 1')
    expect(JSON.stringify(scene.lines)).not.toContain('planted')
  })
})

describe('an uplink whose key is not known', () => {
  test('waits until the network tells it, and all that waited come first', async () => {
    await using scene = await Scene.start()
    const many = Array.from({ length: 50 }, (_, fCnt) => uplink(1, 1, fCnt, { key: false }))
    expect((await scene.source.send(...many, uplink(2, 1, 0))).every(Boolean)).toBe(true)
    await expect.poll(() => scene.sink.texts).toEqual(['2/1/0'])
    expect(scene.metric('waiting_for_key')).toBe(50)
    expect(scene.queue.events).toBe(50)
    await scene.source.send(uplink(1, 1, 50))
    await expect.poll(() => scene.sink.texts).toHaveLength(52)
    expect(scene.sink.texts.slice(1)).toEqual(Array.from({ length: 51 }, (_, fCnt) => `1/1/${fCnt}`))
    await expect.poll(() => scene.queue.events).toBe(0)
    expect(scene.metric('waiting_for_key')).toBe(0)
  })

  test('waits until a join tells of its session', async () => {
    await using scene = await Scene.start()
    await scene.source.send(uplink(1, 1, 0, { key: 'none' }))
    await expect.poll(() => scene.metric('waiting_for_key')).toBe(1)
    expect(scene.sink.received).toEqual([])
    await scene.source.send(join(1, 1))
    await expect.poll(() => scene.sink.texts).toEqual(['1/1/0', join(1, 1).topic])
  })

  test('is asked for again after a minute, and given when the join server answers', async () => {
    const appSKeyClient = joinServer()
    await using scene = await Scene.start({ appSKeyClient })
    await scene.source.send(uplink(1, 1, 0, { key: false }), uplink(1, 1, 1, { key: false }))
    await expect.poll(() => scene.metric('waiting_for_key')).toBe(2)
    expect(appSKeyClient.asked).toBe(1)
    appSKeyClient.answers = true
    scene.aheadMs = ASK_AGAIN_AFTER_MS + 1
    await expect.poll(() => scene.sink.texts, { timeout: 5000 }).toEqual(['1/1/0', '1/1/1'])
    expect(appSKeyClient.asked).toBe(2)
  })

  test('under a KEK that the owner adds later is read by the next process', async () => {
    const appSKey = { kekLabel: 'as-2', aesKey: Buffer.from(wrapped(appSKeyOf(1, 1), SECOND_KEK)).toString('hex') }
    const event = (fCnt: number) => {
      const told = JSON.parse(uplink(1, 1, fCnt).body.toString()) as object
      return { ...uplink(1, 1, fCnt), body: Buffer.from(JSON.stringify({ ...told, appSKey })) }
    }
    let directory
    {
      await using scene = await Scene.start()
      directory = scene.directory
      await scene.source.send(event(0), event(1))
      await expect.poll(() => scene.metric('waiting_for_key')).toBe(2)
      expect(scene.bridge.metrics.render()).toContain('put_off_total{reason="kek_label_unknown"} 1')
    }
    await using again = await Scene.start({
      directory,
      keks: [
        [KEK_LABEL, KEK],
        ['as-2', SECOND_KEK],
      ],
    })
    await expect.poll(() => again.sink.texts).toEqual(['1/1/0', '1/1/1'])
  })

  test('is dropped when it has waited for as long as is kept, counted and named', async () => {
    await using scene = await Scene.start({ bridge: { timing: { retentionMs: 3_600_000 } } })
    await scene.source.send(uplink(1, 1, 0, { key: false }))
    await expect.poll(() => scene.metric('waiting_for_key')).toBe(1)
    scene.aheadMs = 3_500_000
    await expect.poll(() => scene.queue.events).toBe(1)
    scene.aheadMs = 3_700_000
    await expect.poll(() => scene.queue.events, { timeout: 5000 }).toBe(0)
    expect(scene.sink.received).toEqual([])
    expect(scene.bridge.metrics.render()).toContain('mortise_bridge_dropped_total{reason="join_server_missing"} 1')
    expect(scene.lines).toContainEqual({
      message: 'an uplink was dropped',
      fields: {
        ...{ devEui: devEuiOf(1), reason: 'join_server_missing' },
        says: 'There is no join server to ask for the AppSKey.',
      },
    })
  })

  test('that nothing can make readable is dropped at once', async () => {
    await using scene = await Scene.start()
    const told = JSON.parse(uplink(1, 1, 0).body.toString()) as object
    const inClear = { ...told, appSKey: { kekLabel: '', aesKey: appSKeyOf(1, 1).toString('hex') } }
    await scene.source.send({ topic: 'network/x', body: Buffer.from(JSON.stringify(inClear)) }, uplink(1, 2, 0))
    await expect.poll(() => scene.queue.events).toBe(0)
    expect(scene.sink.texts).toEqual(['1/2/0'])
    expect(scene.bridge.metrics.render()).toContain('mortise_bridge_dropped_total{reason="key_in_clear"} 1')
    expect(hexToBytes(inClear.appSKey.aesKey)).toHaveLength(16)
    expect(JSON.stringify(scene.lines)).not.toContain(inClear.appSKey.aesKey)
  })
})
