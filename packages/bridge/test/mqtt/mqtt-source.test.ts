import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, test } from 'vitest'
import { BridgeError } from '../../src/errors.ts'
import { RECEIVE_WINDOW } from '../../src/mqtt/link.ts'
import { TestCertificate } from '../certificates.ts'
import { Mosquitto } from '../mosquitto.ts'
import { Proxy } from '../proxy.ts'
import { until } from '../until.ts'
import { newSource, numbers, Publisher, started, textOf } from './brokers.ts'

describe('events over MQTT', () => {
  test('are taken in their order, each once, and not again after a restart', async () => {
    await using broker = await Mosquitto.start()
    const taken: string[] = []
    {
      await using one = newSource({ url: broker.url }).source
      await one.start((event) => Promise.resolve(void taken.push(textOf(event))))
      await until(() => one.problem === undefined)
      await using publisher = await Publisher.connect(broker.url)
      await publisher.numbers(0, 200)
      await until(() => taken.length >= 200)
    }
    const again = newSource({ url: broker.url })
    await started(again, (event) => Promise.resolve(void taken.push(textOf(event))))
    await sleep(200)
    await again.source.stop()
    expect(taken).toEqual(numbers(0, 200))
  })

  test('wait at the broker while the bridge is away', async () => {
    await using broker = await Mosquitto.start()
    const first = newSource({ url: broker.url })
    await started(first, () => Promise.resolve())
    await first.source.stop()
    expect(first.source.problem).toContain('stopped')
    await using publisher = await Publisher.connect(broker.url)
    await publisher.numbers(0, 50)
    const taken: string[] = []
    const second = newSource({ url: broker.url })
    await started(second, (event) => Promise.resolve(void taken.push(textOf(event))))
    await until(() => taken.length >= 50)
    await second.source.stop()
    expect(taken).toEqual(numbers(0, 50))
  })

  test('that could not be taken come again, and nothing behind them is lost', async () => {
    await using broker = await Mosquitto.start()
    const taken: string[] = []
    let refusals = 0
    const one = newSource({ url: broker.url })
    await started(one, async (event) => {
      await sleep(1)
      if (textOf(event) === '7' && refusals < 3) {
        refusals += 1
        throw new BridgeError('queue_full', 'As many events wait as may.')
      }
      taken.push(textOf(event))
    })
    await using publisher = await Publisher.connect(broker.url)
    await publisher.numbers(0, 30)
    await until(() => new Set(taken).size >= 30)
    await one.source.stop()
    expect(refusals).toBe(3)
    // What came before was acknowledged and did not come again.
    expect(taken.filter((text) => Number(text) < 7)).toEqual(numbers(0, 7))
    expect(taken.filter((text) => text === '7')).toHaveLength(1)
    expect([...new Set(taken)].sort((a, b) => Number(a) - Number(b))).toEqual(numbers(0, 30))
  })

  test('while none can be taken, the problem says why', async () => {
    await using broker = await Mosquitto.start()
    const one = newSource({ url: broker.url })
    let full = true
    const take = (): Promise<void> =>
      full ? Promise.reject(new BridgeError('queue_full', 'As many events wait as may.')) : Promise.resolve()
    await started(one, take)
    await using publisher = await Publisher.connect(broker.url)
    await publisher.publish('x')
    await until(() => one.source.problem?.includes('As many events wait as may.') === true)
    full = false
    await until(() => one.source.problem === undefined)
    await one.source.stop()
  })

  test('many are under way at once, and are acknowledged in their order', async () => {
    await using broker = await Mosquitto.start()
    const underWay: (() => void)[] = []
    const seen: string[] = []
    const one = newSource({ url: broker.url })
    await started(one, (event) => {
      seen.push(textOf(event))
      return new Promise((resolve) => underWay.push(resolve))
    })
    await using publisher = await Publisher.connect(broker.url)
    await publisher.numbers(0, 150)
    await until(() => seen.length === RECEIVE_WINDOW)
    for (const resolve of underWay.splice(1)) resolve()
    await sleep(100)
    // The first one is not taken yet, so that none is acknowledged.
    expect(seen).toHaveLength(RECEIVE_WINDOW)
    underWay[0]?.()
    await until(() => seen.length === 150)
    for (const resolve of underWay) resolve()
    await one.source.stop()
    expect(seen).toEqual(numbers(0, 150))
  })

  test('what is being taken when the bridge stops is acknowledged', async () => {
    await using broker = await Mosquitto.start()
    let begun = 0
    const one = newSource({ url: broker.url })
    await started(one, async () => {
      begun += 1
      await sleep(100)
    })
    await using publisher = await Publisher.connect(broker.url)
    await publisher.numbers(0, 5)
    await until(() => begun === 5)
    await one.source.stop()
    const again: string[] = []
    const two = newSource({ url: broker.url })
    await started(two, (event) => Promise.resolve(void again.push(textOf(event))))
    await publisher.publish('after')
    await until(() => again.length > 0)
    await two.source.stop()
    expect(again).toEqual(['after'])
  })

  test('a broker that is killed with events inside, and comes back with its data, gives them all', async () => {
    await using broker = await Mosquitto.start()
    const taken = new Set<string>()
    let slow = true
    const one = newSource({ url: broker.url })
    await started(one, async (event) => {
      if (slow) await sleep(5000, undefined, { ref: false })
      taken.add(textOf(event))
    })
    await using publisher = await Publisher.connect(broker.url)
    await publisher.numbers(0, 100)
    // Mosquitto writes once a second what has changed.
    await sleep(2500)
    slow = false
    await broker.kill()
    await until(() => one.source.problem !== undefined)
    await broker.restart()
    await until(() => taken.size >= 100)
    await one.source.stop()
    expect([...taken].sort((a, b) => Number(a) - Number(b))).toEqual(numbers(0, 100))
  })

  test('two connections do not disturb each other', async () => {
    await using broker = await Mosquitto.start()
    const taken: string[][] = [[], []]
    const sources = [0, 1].map((index) => newSource({ url: broker.url, clientId: `bridge-${index}` }))
    for (const [index, one] of sources.entries()) {
      await started(one, (event) => Promise.resolve(void taken[index]!.push(textOf(event))))
    }
    await using publisher = await Publisher.connect(broker.url)
    await publisher.numbers(0, 20)
    await until(() => taken.every((list) => list.length >= 20))
    for (const { source } of sources) await source.stop()
    expect(taken).toEqual([numbers(0, 20), numbers(0, 20)])
  })

  test('topics that cannot be passed on are dropped and told of', async () => {
    await using broker = await Mosquitto.start()
    const taken: string[] = []
    const one = newSource({ url: broker.url })
    await started(one, (event) => Promise.resolve(void taken.push(textOf(event))))
    await using publisher = await Publisher.connect(broker.url)
    await publisher.publish('long', `application/${'x'.repeat(1024)}`)
    await publisher.publish('line', 'application/1\u2028forged')
    await publisher.publish('good')
    await until(() => taken.length > 0)
    await one.source.stop()
    expect(taken).toEqual(['good'])
    expect(one.warnings).toHaveLength(2)
    expect(JSON.stringify(one.warnings)).not.toMatch(/\u2028|x{200}/)
  })
})

describe('the connection', () => {
  test('that is silent is given up, and made again', async () => {
    await using broker = await Mosquitto.start()
    await using proxy = await Proxy.start(broker.port)
    const taken: string[] = []
    const one = newSource({ url: `mqtt://127.0.0.1:${proxy.port}` }, { timing: { backOffMs: 20, keepaliveSeconds: 1 } })
    await started(one, (event) => Promise.resolve(void taken.push(textOf(event))))
    proxy.stall()
    await using publisher = await Publisher.connect(broker.url)
    await publisher.publish('into the void')
    await until(() => one.source.problem !== undefined)
    await until(() => taken.length > 0)
    await one.source.stop()
    expect(taken).toEqual(['into the void'])
    expect(proxy.connections).toBe(2)
  })

  test('with a wrong password is refused, and the problem says so without it', async () => {
    await using broker = await Mosquitto.start({ user: { name: 'bridge', password: 'right horse' } })
    const wrong = newSource({ url: broker.url, username: 'bridge', password: Buffer.from('wrong horse') })
    await wrong.source.start(() => Promise.resolve())
    await until(() => wrong.source.problem?.includes('refused') === true)
    expect(wrong.source.problem).toMatch(/^mqtt:\/\/127\.0\.0\.1:\d+: Connection refused: Not authorized$/)
    await wrong.source.stop()
    const right = newSource({ url: broker.url, username: 'bridge', password: Buffer.from('right horse') })
    await started(right, () => Promise.resolve())
    await right.source.stop()
  })

  test('by TLS demands a certificate that its CA signed', async () => {
    using certificate = new TestCertificate()
    using other = new TestCertificate()
    await using broker = await Mosquitto.start({ tls: certificate })
    const url = `mqtts://127.0.0.1:${broker.port}`
    const wrong = newSource({ url, ca: other.cert })
    await wrong.source.start(() => Promise.resolve())
    await until(() => wrong.source.problem?.includes('self-signed') === true)
    await wrong.source.stop()
    const taken: string[] = []
    const right = newSource({ url, ca: certificate.cert })
    await started(right, (event) => Promise.resolve(void taken.push(textOf(event))))
    await right.source.stop()
    expect(right.source.problem).toContain('stopped')
  })

  test('that brings more than may be under way is read on when there is room', async () => {
    // With MQTT 3.1.1 a client cannot tell the broker how much it takes.
    await using broker = await Mosquitto.start({ lines: ['max_inflight_messages 0'] })
    await using proxy = await Proxy.start(broker.port, (connect) =>
      connect[8] === 5 ? Buffer.from('20020001', 'hex') : undefined,
    )
    let underWay = 0
    let most = 0
    let taken = 0
    const one = newSource({ url: `mqtt://127.0.0.1:${proxy.port}` })
    await started(one, async () => {
      underWay += 1
      most = Math.max(most, underWay)
      await sleep(5)
      underWay -= 1
      taken += 1
    })
    await using publisher = await Publisher.connect(broker.url)
    await publisher.numbers(0, 1000)
    await until(() => taken === 1000)
    await one.source.stop()
    expect(most).toBeLessThanOrEqual(RECEIVE_WINDOW)
  })

  test.each([
    ['says so', Buffer.from('20020001', 'hex')],
    ['hangs up', Buffer.alloc(0)],
  ])('falls back to MQTT 3.1.1 where a broker that has no MQTT 5 %s', async (_how, answer) => {
    await using broker = await Mosquitto.start()
    const levels: number[] = []
    // In a CONNECT of less than 128 bytes the version is the ninth one.
    await using proxy = await Proxy.start(broker.port, (connect) => {
      levels.push(connect[8]!)
      return connect[8] === 5 ? answer : undefined
    })
    const taken: string[] = []
    const one = newSource({ url: `mqtt://127.0.0.1:${proxy.port}` })
    await started(one, (event) => Promise.resolve(void taken.push(textOf(event))))
    await using publisher = await Publisher.connect(broker.url)
    await publisher.publish('old')
    await until(() => taken.length > 0)
    await one.source.stop()
    expect(levels).toEqual([5, 4])
  })

  test('of topics that were not asked for are dropped, and told of', async () => {
    await using broker = await Mosquitto.start()
    // The broker keeps this subscription, and brings what comes by it to whoever has the name.
    const wide = newSource({ url: broker.url }, { topic: 'home/#' })
    await started(wide, () => Promise.resolve())
    await wide.source.stop()
    const taken: string[] = []
    const narrow = newSource({ url: broker.url })
    await started(narrow, (event) => Promise.resolve(void taken.push(textOf(event))))
    await using publisher = await Publisher.connect(broker.url)
    await publisher.publish('unlock', 'home/door/set')
    await publisher.publish('reading')
    await until(() => taken.length > 0)
    await narrow.source.stop()
    expect(taken).toEqual(['reading'])
    expect(narrow.warnings).toEqual([{ topic: '"home/door/set"' }])
  })

  test('without the topic granted in QoS 1 does not stand, unless QoS 0 will do', async () => {
    await using broker = await Mosquitto.start({ lines: ['max_qos 0'] })
    const strict = newSource({ url: broker.url })
    await strict.source.start(() => Promise.resolve())
    await until(() => strict.source.problem?.includes('QoS 1') === true)
    await strict.source.stop()
    const lenient = newSource({ url: broker.url }, { atMostOnceWillDo: true })
    await started(lenient, () => Promise.resolve())
    await lenient.source.stop()
  })

  test.each([
    ['another scheme', { url: 'http://127.0.0.1' }],
    ['credentials in the URL', { url: 'mqtt://user:secret@127.0.0.1' }],
    ['a query, which would choose the client identifier', { url: 'mqtt://127.0.0.1?clientId=other' }],
    ['a path', { url: 'mqtt://127.0.0.1/mqtt' }],
    ['certificates without TLS', { url: 'mqtt://127.0.0.1', ca: Buffer.from('x') }],
    ['a certificate without key', { url: 'mqtts://127.0.0.1', cert: Buffer.from('x') }],
    ['no client identifier', { url: 'mqtt://127.0.0.1', clientId: '' }],
  ])('is refused with %s', (_what, address) => {
    expect(() => newSource(address)).toThrow(expect.objectContaining({ code: 'config_invalid' }))
    expect(newSource({ url: 'mqtt://127.0.0.1' }).source.problem).toContain('not connected')
  })
})
