import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { json } from 'node:stream/consumers'
import { parseDevAddr, parseDevEui } from '@mortise/lorawan'
import { connectAsync } from 'mqtt'
import { describe, expect, test } from 'vitest'
import type { SealedDownlink } from '../../src/source.ts'
import {
  TheThingsStackCommands,
  TheThingsStackHttpDownlinks,
  TheThingsStackMqttDownlinks,
  TheThingsStackShape,
} from '../../src/the-things-stack/index.ts'
import { Mosquitto } from '../mosquitto.ts'
import { EXAMPLE } from '../owner.ts'
import { MESSAGE } from '../sinks/messages.ts'
import { until } from '../until.ts'
import { event, SESSION_KEY_ID, UP } from './events.ts'

const DEV_EUI = parseDevEui(EXAMPLE.devEui)

function addressOf(): string {
  const parsed = new TheThingsStackShape().parse(event(UP))
  return parsed.kind === 'uplink' ? parsed.address : ''
}

const SEALED: SealedDownlink = {
  devEui: DEV_EUI,
  devAddr: parseDevAddr(EXAMPLE.devAddr),
  session: 'session' as SealedDownlink['session'],
  fPort: 2,
  fCnt: 41,
  frmPayload: Buffer.from('028de1ec', 'hex'),
  confirmed: true,
  address: addressOf(),
}

const EXPECTED = {
  downlinks: [
    {
      session_key_id: SESSION_KEY_ID,
      f_port: 2,
      f_cnt: 41,
      frm_payload: 'Ao3h7A==',
      confirmed: true,
      priority: 'NORMAL',
    },
  ],
}

/** What the Application Server answers to a counter that is too low. */
const TOO_LOW = {
  code: 3,
  message: 'error:pkg/networkserver:f_cnt_too_low (FCnt `41` is lower than minimum of `57`)',
  details: [
    {
      '@type': 'type.googleapis.com/ttn.lorawan.v3.ErrorDetails',
      name: 'f_cnt_too_low',
      details: [
        { '@type': 'type.googleapis.com/ttn.lorawan.v3.DownlinkQueueOperationErrorDetails', min_f_cnt_down: 57 },
      ],
    },
  ],
}

async function applicationServer(answer: () => { status: number; body?: object }) {
  const posts: { url: string | undefined; authorization: string | undefined; body: unknown }[] = []
  const server = createServer((request, response) => {
    void json(request).then((body) => {
      posts.push({ url: request.url, authorization: request.headers.authorization, body })
      const { status, body: said = {} } = answer()
      response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(said))
    })
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    posts,
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }
}

describe('downlinks to The Things Stack by HTTP', () => {
  test('are pushed as sealed, with the counter that the last uplink told', async () => {
    await using network = await applicationServer(() => ({ status: 200 }))
    await using path = new TheThingsStackHttpDownlinks({ url: network.url, token: Buffer.from('NNSXS.KEY') })
    expect(await path.nextFCntDown(DEV_EUI, SEALED.address)).toBe(41)
    await path.send(SEALED)
    expect(network.posts).toEqual([
      {
        url: '/api/v3/as/applications/doors/webhooks/mortise-bridge/devices/door-1/down/push',
        authorization: 'Bearer NNSXS.KEY',
        body: EXPECTED,
      },
    ])
  })

  test('refused for a counter that is too low go on where the network is', async () => {
    const answers = [{ status: 400, body: TOO_LOW }, { status: 200 }]
    await using network = await applicationServer(() => answers.shift() ?? { status: 500 })
    await using path = new TheThingsStackHttpDownlinks({ url: network.url })
    const error: unknown = await path.send(SEALED).catch((reason: unknown) => reason)
    expect(error).toMatchObject({ code: 'downlink_refused' })
    expect(String(error)).toContain('f_cnt_too_low')
    expect(await path.nextFCntDown(DEV_EUI, SEALED.address)).toBe(57)
    expect(await path.nextFCntDown(parseDevEui('70b3d57ed0061a02'), SEALED.address)).toBe(41)
    await path.send({ ...SEALED, fCnt: 57 })
    expect(network.posts).toHaveLength(2)
  })

  test.each([
    [400, 'downlink_refused'],
    [401, 'downlink_refused'],
    [404, 'downlink_refused'],
    [429, 'downlink_unknown'],
    [500, 'downlink_unknown'],
    [503, 'downlink_unknown'],
  ])('answered with %d: %s', async (status, code) => {
    await using network = await applicationServer(() => ({ status }))
    await using path = new TheThingsStackHttpDownlinks({ url: network.url })
    await expect(path.send(SEALED)).rejects.toMatchObject({ code })
  })

  test('without an answer: what became of them is not known', async () => {
    await using path = new TheThingsStackHttpDownlinks({ url: 'http://127.0.0.1:9' })
    await expect(path.send(SEALED)).rejects.toMatchObject({ code: 'downlink_unknown' })
  })

  test.each([
    ['sealed for a session that was replaced', { devAddr: parseDevAddr('26012e44') }],
    ['with an address that is none', { address: '{}' }],
    ['with an address that leads elsewhere', { address: addressOf().replace('"door-1"', '"../../x"') }],
    ['with an address of no JSON', { address: 'x' }],
  ])('%s are refused', async (_what, members) => {
    await using network = await applicationServer(() => ({ status: 200 }))
    await using path = new TheThingsStackHttpDownlinks({ url: network.url })
    await expect(path.send({ ...SEALED, ...members })).rejects.toMatchObject({ code: 'downlink_refused' })
    expect(network.posts).toEqual([])
    await path.send(SEALED)
    expect(network.posts).toHaveLength(1)
  })
})

describe('downlinks to The Things Stack by MQTT', () => {
  test('are published where the device gets them', async () => {
    await using broker = await Mosquitto.start()
    const client = await connectAsync(broker.url)
    const seen: [string, unknown][] = []
    client.on('message', (topic, payload) => seen.push([topic, JSON.parse(payload.toString())]))
    await client.subscribeAsync('#')
    await using path = new TheThingsStackMqttDownlinks({ url: broker.url, clientId: 'bridge' })
    expect(await path.nextFCntDown(DEV_EUI, SEALED.address)).toBe(41)
    await path.send(SEALED)
    await until(() => seen.length > 0)
    await client.endAsync(true)
    expect(seen).toEqual([['v3/doors@tenant-1/devices/door-1/down/push', EXPECTED]])
  })

  test('that no broker acknowledged may have been queued or not', { timeout: 30_000 }, async () => {
    await using path = new TheThingsStackMqttDownlinks({ url: 'mqtt://127.0.0.1:9', clientId: 'bridge' })
    await expect(path.send(SEALED)).rejects.toMatchObject({ code: 'downlink_unknown' })
  })
})

describe('a downlink command for The Things Stack', () => {
  const TOPIC = 'v3/doors@tenant-1/devices/door-1/down/push'
  const message = { ...MESSAGE, event: event(UP) }

  function commands(): TheThingsStackCommands {
    const shape = new TheThingsStackCommands()
    shape.learn(message)
    return shape
  }

  function parse(downlink: object, topic = TOPIC) {
    return commands().parse(topic, Buffer.from(JSON.stringify({ downlinks: [downlink] })))
  }

  test('has bytes, or an object for the codec', () => {
    const expected = { devEui: EXAMPLE.devEui, fPort: 2, confirmed: false }
    expect(parse({ f_port: 2, frm_payload: 'bG9jaw==', priority: 'NORMAL' })).toEqual([
      { ...expected, payload: Buffer.from('lock') },
    ])
    expect(
      parse({ f_port: 2, confirmed: true, decoded_payload: { lock: true } }, TOPIC.replace('push', 'replace')),
    ).toEqual([{ ...expected, confirmed: true, payload: { lock: true } }])
  })

  test('is for a device of which a reading has passed, or whose identifier has its DevEUI', () => {
    const body = Buffer.from('{"downlinks":[{"f_port":2,"frm_payload":"AA=="}]}')
    const unknown = new TheThingsStackCommands()
    expect(() => unknown.parse(TOPIC, body)).toThrow(expect.objectContaining({ code: 'device_unknown' }))
    unknown.learn(message)
    expect(unknown.parse(TOPIC, body)).toHaveLength(1)
    expect(() => unknown.parse(TOPIC.replace('doors', 'others'), body)).toThrow('not known')
    const [command] = unknown.parse('v3/doors/devices/eui-70b3d57ed0061a09/down/push', body)
    expect(command?.devEui).toBe('70b3d57ed0061a09')
  })

  test.each([
    ['of FPort 0', { frm_payload: 'AA==' }],
    ['of FPort 256', { f_port: 256, frm_payload: 'AA==' }],
    ['of no payload', { f_port: 2 }],
    ['whose payload is not base64', { f_port: 2, frm_payload: '?' }],
    ['whose object is a list', { f_port: 2, decoded_payload: [] }],
  ])('is refused %s', (_what, downlink) => {
    expect(() => parse(downlink)).toThrow(expect.objectContaining({ code: 'event_malformed' }))
    expect(parse({ f_port: 2, frm_payload: 'AA==' })).toHaveLength(1)
  })

  test('is refused with too many at once', () => {
    const many = (count: number) =>
      Buffer.from(JSON.stringify({ downlinks: Array(count).fill({ f_port: 2, frm_payload: 'AA==' }) }))
    expect(() => commands().parse(TOPIC, many(101))).toThrow(expect.objectContaining({ code: 'event_malformed' }))
    expect(commands().parse(TOPIC, many(100))).toHaveLength(100)
  })
})
