import { describe, expect, test } from 'vitest'
import type { NetworkEvent, ReceivedEvent, UplinkOfNetwork } from '../../src/network-event.ts'
import { TheThingsStackShape } from '../../src/the-things-stack/index.ts'
import { normal, without } from '../normal.ts'
import { EXAMPLE, opened } from '../owner.ts'
import { event, JOIN, SESSION_KEY_ID, UP, UP_TOPIC, upWith } from './events.ts'

const shape = new TheThingsStackShape()
const CLEAR = { data: Buffer.from('open'), object: { open: true } }

const SESSION = {
  devEui: EXAMPLE.devEui,
  devAddr: EXAMPLE.devAddr,
  joinEui: '70b3d57ed0000000',
  sessionKeyId: Uint8Array.of(10, 11, 12, 13),
  appSKey: { kekLabel: EXAMPLE.kekLabel, aesKey: EXAMPLE.wrappedAppSKey },
  timeMs: Date.parse('2026-11-21T10:00:00.104Z'),
}
const ADDRESS = {
  applicationId: 'doors',
  applicationUid: 'doors@tenant-1',
  deviceId: 'door-1',
  devAddr: EXAMPLE.devAddr,
  sessionKeyId: SESSION_KEY_ID,
}

function uplinkOf(parsed: NetworkEvent): UplinkOfNetwork {
  if (parsed.kind !== 'uplink') throw new Error(parsed.kind)
  return parsed
}

describe('an event of The Things Stack', () => {
  test('is an uplink, member by member', () => {
    const { id, address, ...parsed } = uplinkOf(shape.parse(event(UP)))
    expect(id).toMatch(/^[0-9a-f]{32}$/)
    expect(JSON.parse(address)).toEqual({ ...ADDRESS, lastAFCntDown: 40 })
    expect(normal(parsed)).toEqual(
      normal({
        kind: 'uplink',
        devEui: EXAMPLE.devEui,
        deviceName: 'door-1',
        uplink: { ...SESSION, fPort: 2, fCnt: 7, frmPayload: EXAMPLE.frmPayload },
        time: '2026-11-21T10:00:00.104Z',
        rx: [
          { gatewayId: 'roof', rssi: -48, snr: 9.25 },
          { gatewayId: 'cellar', rssi: -101, snr: -3.5 },
        ],
        deviceProfile: 'acme/door',
      }),
    )
  })

  test('is opened by the owner', async () => {
    expect(await opened(uplinkOf(shape.parse(event(UP))))).toBe(EXAMPLE.clear)
  })

  test('is a join', () => {
    const { id, ...join } = shape.parse(event(JOIN, 'v3/doors@tenant-1/devices/door-1/join'))
    expect(id).not.toBe(shape.parse(event(UP)).id)
    const { address, ...rest } = join as typeof join & { address: string }
    expect(JSON.parse(address)).toEqual({ ...ADDRESS, lastAFCntDown: 0 })
    expect(normal(rest)).toEqual(
      normal({ kind: 'join', devEui: EXAMPLE.devEui, deviceName: 'door-1', session: SESSION }),
    )
  })

  test('has one id by MQTT and by webhook, and another one for another event', () => {
    const { id } = shape.parse(event(UP))
    expect(shape.parse(event({ ...UP, correlation_ids: [] }, 'v3/doors/devices/door-1/up')).id).toBe(id)
    expect(shape.parse(upWith({ f_cnt: 8 })).id).not.toBe(id)
    expect(shape.parse(upWith({ frm_payload: 'AAAA' })).id).not.toBe(id)
    expect(shape.parse(upWith({ session_key_id: 'AAAA' })).id).not.toBe(id)
  })

  test('counts from 0 where a member is left out', () => {
    const first = uplinkOf(shape.parse(upWith({ f_cnt: undefined, last_a_f_cnt_down: undefined })))
    expect(first.uplink).toMatchObject({ fCnt: 0 })
    expect(JSON.parse(first.address)).toEqual({ ...ADDRESS, lastAFCntDown: 0 })
  })

  test.each([
    ['of a topic of its own', 'devices/up', 'doors'],
    ['of another application', 'v3/others@tenant-1/devices/door-1/up', 'doors'],
    ['of another device', 'v3/doors@tenant-1/devices/door-2/up', 'doors'],
    ['with a tenant that is none', 'v3/doors@../devices/door-1/up', 'doors'],
    ['with its tenant', UP_TOPIC, 'doors@tenant-1'],
  ])('%s has the address of the application', (_which, topic, applicationUid) => {
    expect(JSON.parse(uplinkOf(shape.parse(event(UP, topic))).address)).toMatchObject({ applicationUid })
  })
})

describe('an event is nothing to decrypt', () => {
  test.each<[string, boolean, ReceivedEvent]>([
    ['when The Things Stack decrypted it', true, upWith({ app_s_key: undefined, decoded_payload: { open: true } })],
    ['when it is simulated', true, event({ ...UP, simulated: true })],
    ['without FRMPayload', false, upWith({ frm_payload: undefined })],
    ['that tells what was made of it alone', true, upWith({ frm_payload: undefined, normalized_payload: [{}] })],
    ['of FPort 0', false, upWith({ f_port: undefined })],
    [
      'when it is a join whose key the network has',
      false,
      event({ ...JOIN, join_accept: { session_key_id: SESSION_KEY_ID } }),
    ],
    ['of another kind', false, event({ end_device_ids: UP.end_device_ids, downlink_ack: { f_cnt: 1 } })],
  ])('%s; told in clear: %s', (_when, isClearUplink, received) => {
    expect(shape.parse(received)).toMatchObject({ kind: 'other', isClearUplink })
    expect(shape.parse(event(UP)).kind).toBe('uplink')
  })
})

describe('an event is malformed', () => {
  const ids = UP.end_device_ids
  test.each<[string, ReceivedEvent]>([
    ['that is not JSON', { topic: UP_TOPIC, body: Buffer.from('{') }],
    ['on the topic of downlinks', event(UP, 'v3/doors@tenant-1/devices/door-1/down/push')],
    ['without identifiers', event({ ...UP, end_device_ids: undefined })],
    ['with another device_id', event({ ...UP, end_device_ids: { ...ids, device_id: '../x' } })],
    ['with another application_id', event({ ...UP, end_device_ids: { ...ids, application_ids: {} } })],
    ['with another dev_eui', event({ ...UP, end_device_ids: { ...ids, dev_eui: '1' } })],
    ['with another dev_addr', event({ ...UP, end_device_ids: { ...ids, dev_addr: 'x' } })],
    ['whose message is text', event({ ...UP, uplink_message: 'x' })],
    ['with a counter of 33 bits', upWith({ f_cnt: 2 ** 32 })],
    ['with FPort 256', upWith({ f_port: 256 })],
    ['whose payload is not base64', upWith({ frm_payload: '?' })],
    ['whose session_key_id is not base64', upWith({ session_key_id: '?' })],
    [
      'without time',
      event({ ...UP, received_at: undefined, uplink_message: { ...UP.uplink_message, received_at: undefined } }),
    ],
  ])('%s', (_what, received) => {
    expect(() => shape.parse(received)).toThrow(expect.objectContaining({ code: 'event_malformed' }))
    expect(shape.parse(event(UP)).kind).toBe('uplink')
  })
})

describe('an uplink filled with its payload', () => {
  test('is the same event without keys', () => {
    const filled = event({}, UP_TOPIC)
    const body = shape.fill(event(UP), CLEAR)
    const message = without(UP.uplink_message, ['app_s_key', 'last_a_f_cnt_down'])
    expect(JSON.parse(Buffer.from(body).toString())).toEqual({
      ...UP,
      uplink_message: { ...message, frm_payload: 'b3Blbg==', decoded_payload: CLEAR.object },
    })
    expect(shape.parse({ ...filled, body }).kind).toBe('other')
  })

  test('keeps what is not understood, letter by letter', () => {
    const text = '{"a":1.0,"uplink_message":{"x":12345678901234567890,"app_s_key":{},"frm_payload":"AA=="},"b":[1e2]}'
    const body = shape.fill({ topic: UP_TOPIC, body: Buffer.from(text) }, { data: CLEAR.data })
    expect(Buffer.from(body).toString()).toBe(
      '{"a":1.0,"b":[1e2],"uplink_message":{"x":12345678901234567890,"frm_payload":"b3Blbg=="}}',
    )
  })
})
