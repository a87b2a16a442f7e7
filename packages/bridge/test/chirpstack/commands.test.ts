import integrationPb from '@chirpstack/chirpstack-api/integration/integration_pb.js'
import timestampPb from 'google-protobuf/google/protobuf/timestamp_pb.js'
import { describe, expect, test } from 'vitest'
import { commandShape } from '../../src/chirpstack/index.ts'
import { EXAMPLE } from '../owner.ts'
import { delimited, nestedStruct, struct } from './events.ts'

const TOPIC = `application/1/device/${EXAMPLE.devEui}/command/down`
const NOW = Date.parse('2026-11-21T10:00:00Z')
const json = commandShape('json', () => NOW)
const protobuf = commandShape('protobuf', () => NOW)
const COMMAND = { devEui: EXAMPLE.devEui, confirmed: true, fPort: 2, data: 'bG9jaw==' }

function parse(command: object, topic = TOPIC) {
  return json.parse(topic, Buffer.from(JSON.stringify(command)))
}

function message(): integrationPb.DownlinkCommand {
  const command = new integrationPb.DownlinkCommand()
  command.setDevEui(EXAMPLE.devEui)
  command.setConfirmed(true)
  command.setFPort(2)
  command.setData(Buffer.from('lock'))
  return command
}

describe('a downlink command for ChirpStack', () => {
  const expected = { devEui: EXAMPLE.devEui, confirmed: true, fPort: 2 }

  test('has bytes', () => {
    expect(parse(COMMAND)).toEqual([{ ...expected, payload: Buffer.from('lock') }])
    const [command] = protobuf.parse(TOPIC, message().serializeBinary())
    expect({ ...command, payload: Buffer.from(command?.payload as Uint8Array) }).toEqual({
      ...expected,
      payload: Buffer.from('lock'),
    })
  })

  test('or an object for the codec, which comes before bytes', () => {
    expect(parse({ ...COMMAND, object: { lock: true } })).toEqual([{ ...expected, payload: { lock: true } }])
    const command = message()
    command.setObject(struct({ lock: true }))
    expect(protobuf.parse(TOPIC, command.serializeBinary())).toEqual([{ ...expected, payload: { lock: true } }])
  })

  test('until it expires', () => {
    expect(parse({ ...COMMAND, expiresAt: '2026-11-21T10:00:01Z' })).toHaveLength(1)
    expect(() => parse({ ...COMMAND, expiresAt: '2026-11-21T09:59:59Z' })).toThrow('it has expired')
    const command = message()
    command.setExpiresAt(timestampPb.Timestamp.fromDate(new Date(NOW - 1)))
    expect(() => protobuf.parse(TOPIC, command.serializeBinary())).toThrow('it has expired')
  })

  test.each([
    ['for another device than its topic says', { ...COMMAND, devEui: '70b3d57ed0061a02' }],
    ['of FPort 0', { ...COMMAND, fPort: 0 }],
    ['without FPort', { ...COMMAND, fPort: undefined }],
    ['of FPort 256', { ...COMMAND, fPort: 256 }],
    ['whose data is not base64', { ...COMMAND, data: '?' }],
    ['whose object is a list', { ...COMMAND, object: [] }],
    ['confirmed perhaps', { ...COMMAND, confirmed: 'perhaps' }],
  ])('is refused %s', (_what, command) => {
    expect(() => parse(command)).toThrow(expect.objectContaining({ code: 'event_malformed' }))
    expect(parse(COMMAND)).toHaveLength(1)
  })

  test('is refused where its object is nested so deeply that the library would take seconds for it', () => {
    const nested = (levels: number) => Buffer.concat([message().serializeBinary(), delimited(6, nestedStruct(levels))])
    expect(protobuf.parse(TOPIC, nested(32))).toHaveLength(1)
    expect(() => protobuf.parse(TOPIC, nested(33))).toThrow('DownlinkCommand')
    expect(() => protobuf.parse(TOPIC, nested(20_000))).toThrow('DownlinkCommand')
  })

  test('is refused on another topic, and when it is no message', () => {
    expect(() => parse(COMMAND, 'application/1/command/down')).toThrow('/command/down')
    expect(() => protobuf.parse(TOPIC, Buffer.from('0a05', 'hex'))).toThrow('DownlinkCommand')
  })
})
