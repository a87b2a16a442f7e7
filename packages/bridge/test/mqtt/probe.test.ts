import { describe, expect, test } from 'vitest'
import { probeBroker } from '../../src/index.ts'
import { Mosquitto } from '../mosquitto.ts'

const topic = 'v3/doors@ttn/devices/+/up'

describe('a broker that is tried', () => {
  test.each([
    ['grants QoS 1', [], false, undefined],
    ['has QoS 0 only, where that will do', ['max_qos 0'], true, undefined],
    ['has QoS 0 only', ['max_qos 0'], false, 'subscription'],
  ])('%s', async (_, lines, atMostOnceWillDo, expected) => {
    await using broker = await Mosquitto.start({ lines })
    const problem = await probeBroker({ url: broker.url, clientId: 'bridge' }, { topic, atMostOnceWillDo })
    expect(problem?.kind).toBe(expected)
  })
})
