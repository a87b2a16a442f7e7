import type { JoinServerContext } from '@chirpstack/chirpstack-api/common/common_pb.js'
import integrationPb from '@chirpstack/chirpstack-api/integration/integration_pb.js'
import type { Timestamp } from 'google-protobuf/google/protobuf/timestamp_pb.js'
import structPb from 'google-protobuf/google/protobuf/struct_pb.js'
import { malformed, readTime, requireEventSize } from '../event-json.ts'
import type { DeviceFields, Encoding, JoinFields, JoinServerContextFields } from './event-fields.ts'
import { embeddedMessage, withoutFields } from './protobuf-fields.ts'

/** Field numbers of integration.UplinkEvent. */
const DATA = 10
const OBJECT = 11
const JOIN_SERVER_CONTEXT = 15

/** ChirpStack with `json=false`. */
export const PROTOBUF_ENCODING: Encoding = {
  readUplink(body) {
    // `object` is not looked at, and the library takes seconds for one that is nested thousands of times.
    const event = reading(body, (bytes) => integrationPb.UplinkEvent.deserializeBinary(withoutFields(bytes, [OBJECT])))
    return {
      ...joinFields(event),
      fCnt: event.getFCnt(),
      fPort: event.getFPort(),
      data: event.getData_asU8(),
      hasObject: embeddedMessage(body, OBJECT) !== undefined,
      rx: event.getRxInfoList().map((rx) => ({ gatewayId: rx.getGatewayId(), rssi: rx.getRssi(), snr: rx.getSnr() })),
    }
  },
  readJoin: (body) => joinFields(reading(body, (bytes) => integrationPb.JoinEvent.deserializeBinary(bytes))),
  readDevice(type, body) {
    // DeviceInfo is the third field of every event but the log's, which has no deduplication_id.
    const info = reading(body, (bytes) => embeddedMessage(bytes, type === 'log' ? 2 : 3))
    if (info === undefined) throw malformed('it has no device_info')
    return deviceFields(reading(info, (bytes) => integrationPb.DeviceInfo.deserializeBinary(bytes)))
  },
  fill(body, { data, object }) {
    const clear = new integrationPb.UplinkEvent()
    clear.setData(data)
    if (object !== undefined) clear.setObject(structPb.Struct.fromJavaScript({ ...object }))
    const rest = reading(body, (bytes) => withoutFields(bytes, [DATA, OBJECT, JOIN_SERVER_CONTEXT]))
    return Buffer.concat([rest, clear.serializeBinary()])
  },
}

/** The library throws errors of many kinds for what is no message. */
function reading<Result>(body: Uint8Array, read: (body: Uint8Array) => Result): Result {
  requireEventSize(body)
  try {
    return read(body)
  } catch (cause) {
    throw malformed('it is not the message of Protobuf that its topic says', { cause })
  }
}

function joinFields(event: integrationPb.UplinkEvent | integrationPb.JoinEvent): JoinFields {
  const info = event.getDeviceInfo()
  if (info === undefined) throw malformed('it has no device_info')
  return {
    deduplicationId: event.getDeduplicationId(),
    ...readTime(timeText(event.getTime()), 'time'),
    device: deviceFields(info),
    devAddr: event.getDevAddr(),
    context: contextFields(event.getJoinServerContext()),
  }
}

function deviceFields(info: integrationPb.DeviceInfo): DeviceFields {
  return {
    applicationId: info.getApplicationId(),
    deviceName: info.getDeviceName(),
    deviceProfileName: info.getDeviceProfileName(),
    devEui: info.getDevEui(),
  }
}

function contextFields(context: JoinServerContext | undefined): JoinServerContextFields | undefined {
  if (context === undefined) return undefined
  const envelope = context.getAppSKey()
  return {
    sessionKeyId: context.getSessionKeyId(),
    appSKey: envelope && { kekLabel: envelope.getKekLabel(), aesKey: envelope.getAesKey_asU8() },
  }
}

/** RFC 3339 with all nine digits of the nanoseconds; empty when it is no time. */
function timeText(timestamp: Timestamp | undefined): string {
  const date = new Date((timestamp?.getSeconds() ?? Number.NaN) * 1000)
  const nanos = timestamp?.getNanos() ?? -1
  if (Number.isNaN(date.getTime()) || nanos < 0 || nanos > 999_999_999) return ''
  return `${date.toISOString().slice(0, 19)}.${String(nanos).padStart(9, '0')}Z`
}
