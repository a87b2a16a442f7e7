import integrationPb from '@chirpstack/chirpstack-api/integration/integration_pb.js'
import { describe, expect, test } from 'vitest'
import { ChirpStackShape, ENCODINGS } from '../../src/chirpstack/index.ts'
import { MAX_EVENT_BYTES } from '../../src/event-json.ts'
import type { NetworkEvent, ReceivedEvent, UplinkOfNetwork } from '../../src/network-event.ts'
import { normal, without } from '../normal.ts'
import { EXAMPLE, opened } from '../owner.ts'
import {
  APPLICATION_ID,
  delimited,
  JOIN,
  joinMessage,
  jsonEvent,
  nestedStruct,
  protobufEvent,
  topic,
  UP,
  upMessage,
  UP_TOPIC,
} from './events.ts'

const json = new ChirpStackShape(ENCODINGS.json)
const protobuf = new ChirpStackShape(ENCODINGS.protobuf)

const CLEAR = { data: Buffer.from('open'), object: { open: true, battery: 0.98, list: [1, null] } }

function uplinkOf(event: NetworkEvent): UplinkOfNetwork {
  if (event.kind !== 'uplink') throw new Error(event.kind)
  return event
}

function changed(members: object): ReceivedEvent {
  return jsonEvent({ ...UP, ...members })
}

const SESSION = {
  devEui: EXAMPLE.devEui,
  devAddr: EXAMPLE.devAddr,
  sessionKeyId: Uint8Array.of(10, 11, 12, 13),
  appSKey: { kekLabel: EXAMPLE.kekLabel, aesKey: EXAMPLE.wrappedAppSKey },
  timeMs: Date.parse('2026-11-21T10:00:00.123Z'),
}
const DEVICE = {
  devEui: EXAMPLE.devEui,
  deviceName: 'door-1',
  address: `application/${APPLICATION_ID}/device/${EXAMPLE.devEui} ${EXAMPLE.devAddr}`,
}

describe.each([
  ['JSON', json, jsonEvent(UP), jsonEvent(JOIN, topic('join')), UP.time],
  [
    'Protobuf',
    protobuf,
    protobufEvent(upMessage()),
    protobufEvent(joinMessage(), topic('join')),
    '2026-11-21T10:00:00.123456789Z',
  ],
])('an event of ChirpStack in %s', (_name, shape, up, join, time) => {
  test('is an uplink, member by member', () => {
    const { id, ...event } = uplinkOf(shape.parse(up))
    expect(id).toMatch(/^[0-9a-f]{32}$/)
    expect(normal(event)).toEqual(
      normal({
        ...DEVICE,
        kind: 'uplink',
        uplink: { ...SESSION, fPort: 2, fCnt: 7, frmPayload: EXAMPLE.frmPayload },
        time,
        rx: [
          { gatewayId: '0016c001f153a14c', rssi: -48, snr: 9.25 },
          { gatewayId: '0016c001f153a14d', rssi: -101, snr: -3.5 },
        ],
        deviceProfile: 'Door sensor',
      }),
    )
  })

  test('is opened by the owner', async () => {
    expect(await opened(uplinkOf(shape.parse(up)))).toBe(EXAMPLE.clear)
  })

  test('is a join', () => {
    const { id, ...event } = shape.parse(join)
    expect(id).not.toBe(shape.parse(up).id)
    expect(normal(event)).toEqual(normal({ ...DEVICE, kind: 'join', session: SESSION }))
  })

  test('has one id however it came, and another one for another event', () => {
    expect(shape.parse(up).id).toBe(json.parse(jsonEvent(UP)).id)
    expect(shape.parse({ ...up, topic: `eu868/${UP_TOPIC}` }).id).toBe(shape.parse(up).id)
    expect(json.parse(changed({ deduplicationId: 'another' })).id).not.toBe(shape.parse(up).id)
  })

  test('of a type in which nothing is encrypted stays as it is', () => {
    const { kind, id } = shape.parse({ topic: topic('status'), body: up.body })
    expect(kind).toBe('other')
    expect(id).not.toBe(shape.parse({ topic: topic('location'), body: up.body }).id)
  })
})

describe('an uplink is nothing to decrypt', () => {
  test.each([
    ['when ChirpStack decrypted it', true, { joinServerContext: undefined, object: { open: true } }],
    ['when ChirpStack tells what it made of it alone', true, { data: '', object: { open: true } }],
    ['when its context is null', true, { joinServerContext: null }],
    ['when its context names no session', true, { joinServerContext: { sessionKeyId: '' } }],
    ['without FRMPayload', false, { data: '' }],
    ['without FRMPayload and FPort', false, { data: undefined, fPort: undefined }],
    ['of FPort 0', false, { fPort: 0 }],
  ])('%s; told in clear: %s', (_when, isClearUplink, members) => {
    expect(json.parse(changed(members))).toMatchObject({ kind: 'other', isClearUplink })
    expect(json.parse(jsonEvent(UP)).kind).toBe('uplink')
  })

  test('and so in Protobuf', () => {
    const decrypted = upMessage()
    decrypted.clearJoinServerContext()
    expect(protobuf.parse(protobufEvent(decrypted))).toMatchObject({ kind: 'other', isClearUplink: true })
    const empty = upMessage()
    empty.setData('')
    expect(protobuf.parse(protobufEvent(empty))).toMatchObject({ kind: 'other', isClearUplink: false })
  })

  test('and a join without context', () => {
    expect(json.parse(jsonEvent({ ...JOIN, joinServerContext: undefined }, topic('join'))).kind).toBe('other')
  })
})

describe('an uplink is encrypted', () => {
  test.each([
    ['under a key that the join server alone has', { sessionKeyId: '0a0b' }, { sessionKeyId: Uint8Array.of(10, 11) }],
    ['under a wrapped key without name', { appSKey: UP.joinServerContext.appSKey }, { appSKey: SESSION.appSKey }],
    // The owner's side refuses it as key_in_clear; it must not be taken for a payload in clear.
    [
      'even when the key came in clear',
      { sessionKeyId: '0a', appSKey: { aesKey: 'AAAAAAAAAAAAAAAAAAAAAA==' } },
      { appSKey: { kekLabel: '', aesKey: Buffer.alloc(16) } },
    ],
  ])('%s', (_how, joinServerContext, expected) => {
    const { uplink } = uplinkOf(json.parse(changed({ joinServerContext })))
    expect(normal(uplink)).toMatchObject(normal(expected) as object)
  })
})

describe('an event is malformed', () => {
  test.each<[string, ReceivedEvent]>([
    ['that is not JSON', { topic: UP_TOPIC, body: Buffer.from('{') }],
    ['that is no object', { topic: UP_TOPIC, body: Buffer.from('[]') }],
    ['that is not UTF-8', { topic: UP_TOPIC, body: Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d]) }],
    ['that is too large', { topic: UP_TOPIC, body: Buffer.alloc(1_048_577, ' ') }],
    ['on another topic', { ...jsonEvent(UP), topic: 'gateway/0016c001f153a14c/event/up' }],
    [
      'on the topic of another device',
      { ...jsonEvent(UP), topic: UP_TOPIC.replace(EXAMPLE.devEui, '70b3d57ed0061a02') },
    ],
    ['without deviceInfo', changed({ deviceInfo: undefined })],
    ['whose deviceInfo is a list', changed({ deviceInfo: [] })],
    ['with another applicationId', changed({ deviceInfo: { ...UP.deviceInfo, applicationId: '../x' } })],
    ['with another devAddr', changed({ devAddr: '26012e4' })],
    ['without time', changed({ time: undefined })],
    ['with another time', changed({ time: 'yesterday' })],
    ['with a counter of text', changed({ fCnt: '7' })],
    ['with a counter of 33 bits', changed({ fCnt: 2 ** 32 })],
    ['with a counter and a half', changed({ fCnt: 7.5 })],
    ['with FPort 256', changed({ fPort: 256 })],
    ['whose data is not base64', changed({ data: '??' })],
    ['whose data has bits left over', changed({ data: 'AAB=' })],
    ['whose context is text', changed({ joinServerContext: 'x' })],
    ['whose sessionKeyId is not hexadecimal', changed({ joinServerContext: { sessionKeyId: 'xyz' } })],
  ])('%s', (_what, event) => {
    expect(() => json.parse(event)).toThrow(expect.objectContaining({ code: 'event_malformed' }))
    expect(json.parse(jsonEvent(UP)).kind).toBe('uplink')
  })

  test.each<[string, Uint8Array]>([
    ['that ends early', upMessage().serializeBinary().subarray(0, 100)],
    ['that is JSON', jsonEvent(UP).body],
    ['that is empty', new Uint8Array()],
    ['with a group', Buffer.concat([upMessage().serializeBinary(), Buffer.from('ff', 'hex')])],
  ])('in Protobuf %s', (_what, body) => {
    expect(() => protobuf.parse({ topic: UP_TOPIC, body })).toThrow(
      expect.objectContaining({ code: 'event_malformed' }),
    )
    expect(protobuf.parse(protobufEvent(upMessage())).kind).toBe('uplink')
  })

  test.each(['up', 'join', 'status'])('of type %s that is larger than any event', (type) => {
    const body = Buffer.alloc(MAX_EVENT_BYTES + 1, ' ')
    for (const shape of [json, protobuf]) expect(() => shape.parse({ topic: topic(type), body })).toThrow('larger than')
    expect(json.parse({ topic: topic('status'), body: body.subarray(1) }).kind).toBe('other')
  })
})

test('an uplink is read without its object, which nobody needs and which may be nested for ever', () => {
  const body = Buffer.concat([upMessage().serializeBinary(), delimited(11, nestedStruct(20_000))])
  expect(protobuf.parse({ topic: UP_TOPIC, body })).toEqual(protobuf.parse(protobufEvent(upMessage())))
})

describe('an uplink filled with its payload', () => {
  test('in JSON is the same event, and decrypted by ChirpStack as far as anybody can see', () => {
    const filled = { topic: UP_TOPIC, body: json.fill(jsonEvent(UP), CLEAR) }
    expect(JSON.parse(filled.body.toString())).toEqual({
      ...without(UP, ['joinServerContext']),
      data: 'b3Blbg==',
      object: CLEAR.object,
    })
    expect(json.parse({ ...filled, body: filled.body }).kind).toBe('other')
  })

  test('in JSON keeps what is not understood, letter by letter', () => {
    const strange =
      '"big":123456789012345678901234567890,"e":1.50e+3,"__proto__":{"x":1},"text":"\\u0041 } ] , \\" \\\\","deep":[[{"data":"kept"}]]'
    const text = ` {"data":"AA==", ${strange} , "data" : "xUWMMA==","joinServerContext":{"appSKey":{}} , "object":null, "last":true }`
    const filled = Buffer.from(json.fill({ topic: UP_TOPIC, body: Buffer.from(text) }, { data: CLEAR.data })).toString()
    expect(filled).toBe(`{${strange},"last":true,"data":"b3Blbg=="}`)
    expect(JSON.parse(filled)).toHaveProperty('last', true)
  })

  test('in Protobuf is the same event, member by member', () => {
    const filled = integrationPb.UplinkEvent.deserializeBinary(protobuf.fill(protobufEvent(upMessage()), CLEAR))
    const expected = upMessage()
    expected.clearJoinServerContext()
    expected.setData(CLEAR.data)
    expect(filled.getObject()?.toJavaScript()).toEqual(CLEAR.object)
    filled.clearObject()
    expect(filled.toObject()).toEqual(expected.toObject())
  })

  test('in Protobuf keeps fields that this version does not know', () => {
    const unknown = Buffer.from('c20c03616263', 'hex')
    const body = Buffer.concat([unknown, upMessage().serializeBinary(), unknown])
    const filled = Buffer.from(protobuf.fill({ topic: UP_TOPIC, body }, { data: CLEAR.data }))
    expect(filled.indexOf(unknown)).toBe(0)
    expect(filled.lastIndexOf(unknown)).toBeGreaterThan(0)
    expect(filled.indexOf(EXAMPLE.wrappedAppSKey)).toBe(-1)
    // The search finds what is there.
    expect(body.indexOf(EXAMPLE.wrappedAppSKey)).toBeGreaterThan(0)
  })
})
