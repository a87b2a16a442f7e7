import commonPb from '@chirpstack/chirpstack-api/common/common_pb.js'
import gwPb from '@chirpstack/chirpstack-api/gw/gw_pb.js'
import integrationPb from '@chirpstack/chirpstack-api/integration/integration_pb.js'
import structPb from 'google-protobuf/google/protobuf/struct_pb.js'
import timestampPb from 'google-protobuf/google/protobuf/timestamp_pb.js'
import { EXAMPLE } from '../owner.ts'

export const APPLICATION_ID = '17c82e96-be03-4f38-aef3-f83d48582d97'
export const DEDUPLICATION_ID = '3ac7e3c4-4401-4b8d-9386-a5c902f9202d'
export const UP_TOPIC = topic('up')

export function topic(type: string): string {
  return `application/${APPLICATION_ID}/device/${EXAMPLE.devEui}/event/${type}`
}

/** As ChirpStack 4 writes an uplink with `json=true`. */
export const UP = {
  deduplicationId: DEDUPLICATION_ID,
  time: '2026-11-21T10:00:00.123456789+00:00',
  deviceInfo: {
    tenantId: '52f14cd4-c6f1-4fbd-8f87-4025e1d49242',
    tenantName: 'ChirpStack',
    applicationId: APPLICATION_ID,
    applicationName: 'Doors',
    deviceProfileId: '14855bf7-d10d-4aee-b618-ebfcb64dc7ad',
    deviceProfileName: 'Door sensor',
    deviceName: 'door-1',
    devEui: EXAMPLE.devEui,
    deviceClassEnabled: 'CLASS_A',
    tags: { site: 'north' },
  },
  devAddr: EXAMPLE.devAddr,
  adr: true,
  dr: 5,
  fCnt: EXAMPLE.fCnt,
  fPort: EXAMPLE.fPort,
  confirmed: false,
  data: EXAMPLE.frmPayload.toString('base64'),
  rxInfo: [
    {
      gatewayId: '0016c001f153a14c',
      uplinkId: 4217106255,
      gwTime: '2026-11-21T10:00:00.100+00:00',
      rssi: -48,
      snr: 9.25,
      channel: 2,
      context: 'EFwMtA==',
      metadata: { region_common_name: 'EU868' },
      crcStatus: 'CRC_OK',
    },
    { gatewayId: '0016c001f153a14d', uplinkId: 1, rssi: -101, snr: -3.5 },
  ],
  txInfo: { frequency: 868100000, modulation: { lora: { bandwidth: 125000, spreadingFactor: 7, codeRate: 'CR_4_5' } } },
  joinServerContext: {
    sessionKeyId: '0a0b0c0d',
    appSKey: { kekLabel: EXAMPLE.kekLabel, aesKey: EXAMPLE.wrappedAppSKey.toString('base64') },
  },
  regionConfigId: 'eu868',
}

export const JOIN = {
  deduplicationId: DEDUPLICATION_ID,
  time: UP.time,
  deviceInfo: UP.deviceInfo,
  devAddr: UP.devAddr,
  joinServerContext: UP.joinServerContext,
  regionConfigId: 'eu868',
}

export function jsonEvent(event: object, at = UP_TOPIC): { topic: string; body: Buffer } {
  return { topic: at, body: Buffer.from(JSON.stringify(event)) }
}

function deviceInfo(): integrationPb.DeviceInfo {
  const info = new integrationPb.DeviceInfo()
  info.setTenantId(UP.deviceInfo.tenantId)
  info.setTenantName(UP.deviceInfo.tenantName)
  info.setApplicationId(APPLICATION_ID)
  info.setApplicationName(UP.deviceInfo.applicationName)
  info.setDeviceProfileId(UP.deviceInfo.deviceProfileId)
  info.setDeviceProfileName(UP.deviceInfo.deviceProfileName)
  info.setDeviceName(UP.deviceInfo.deviceName)
  info.setDevEui(EXAMPLE.devEui)
  info.getTagsMap().set('site', 'north')
  return info
}

function time(): timestampPb.Timestamp {
  const timestamp = new timestampPb.Timestamp()
  timestamp.setSeconds(Date.parse('2026-11-21T10:00:00Z') / 1000)
  timestamp.setNanos(123_456_789)
  return timestamp
}

export function context(): commonPb.JoinServerContext {
  const envelope = new commonPb.KeyEnvelope()
  envelope.setKekLabel(EXAMPLE.kekLabel)
  envelope.setAesKey(EXAMPLE.wrappedAppSKey)
  const made = new commonPb.JoinServerContext()
  made.setSessionKeyId('0a0b0c0d')
  made.setAppSKey(envelope)
  return made
}

/** The same uplink with `json=false`, made with ChirpStack's own classes. */
export function upMessage(): integrationPb.UplinkEvent {
  const up = new integrationPb.UplinkEvent()
  up.setDeduplicationId(DEDUPLICATION_ID)
  up.setTime(time())
  up.setDeviceInfo(deviceInfo())
  up.setDevAddr(EXAMPLE.devAddr)
  up.setAdr(true)
  up.setDr(5)
  up.setFCnt(EXAMPLE.fCnt)
  up.setFPort(EXAMPLE.fPort)
  up.setData(EXAMPLE.frmPayload)
  for (const { gatewayId, uplinkId, rssi, snr } of UP.rxInfo) {
    const rx = new gwPb.UplinkRxInfo()
    rx.setGatewayId(gatewayId)
    rx.setUplinkId(uplinkId)
    rx.setRssi(rssi)
    rx.setSnr(snr)
    up.addRxInfo(rx)
  }
  const tx = new gwPb.UplinkTxInfo()
  tx.setFrequency(868_100_000)
  up.setTxInfo(tx)
  up.setJoinServerContext(context())
  up.setRegionConfigId('eu868')
  return up
}

export function joinMessage(): integrationPb.JoinEvent {
  const join = new integrationPb.JoinEvent()
  join.setDeduplicationId(DEDUPLICATION_ID)
  join.setTime(time())
  join.setDeviceInfo(deviceInfo())
  join.setDevAddr(EXAMPLE.devAddr)
  join.setJoinServerContext(context())
  return join
}

export function logMessage(): integrationPb.LogEvent {
  const log = new integrationPb.LogEvent()
  log.setTime(time())
  log.setDeviceInfo(deviceInfo())
  log.setDescription('x')
  return log
}

export function protobufEvent(message: { serializeBinary(): Uint8Array }, at = UP_TOPIC) {
  return { topic: at, body: message.serializeBinary() }
}

export function struct(object: Record<string, structPb.JavaScriptValue>): structPb.Struct {
  return structPb.Struct.fromJavaScript(object)
}

/** A google.protobuf.Struct in itself so many times, with `true` in the middle; as bytes, because the library would not make it. */
export function nestedStruct(levels: number): Buffer {
  let value: Buffer = Buffer.of(0x20, 1)
  for (let level = 1; level < levels; level += 1) value = delimited(5, member(value))
  return member(value)
}

function member(value: Buffer): Buffer {
  return delimited(1, Buffer.concat([delimited(1, Buffer.from('a')), delimited(2, value)]))
}

/** A field of bytes in Protobuf's encoding. */
export function delimited(number: number, bytes: Buffer): Buffer {
  const size: number[] = []
  for (let rest = bytes.length; size.length === 0 || rest > 0; rest >>>= 7) size.push((rest & 0x7f) | 0x80)
  size.push((size.pop() ?? 0) & 0x7f)
  return Buffer.concat([Buffer.of((number << 3) | 2, ...size), bytes])
}
