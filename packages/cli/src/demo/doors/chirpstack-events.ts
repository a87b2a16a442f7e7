import { randomUUID } from 'node:crypto'
import { hexToBytes } from '@mortise/lorawan'

/** What ChirpStack knows of a session whose AppSKey it cannot open. */
export interface JoinServerContext {
  /** Hexadecimal. */
  readonly sessionKeyId: string
  /** `aesKey` is hexadecimal here, and base64 in events. */
  readonly appSKey: { readonly kekLabel: string; readonly aesKey: string }
}

export interface KnownDevice {
  readonly devEui: string
  readonly devAddr: string
  readonly context: JoinServerContext
}

export interface EncryptedUplink {
  readonly fCnt: number
  readonly fPort: number
  readonly confirmed: boolean
  readonly data: Uint8Array
}

export interface Event {
  readonly topic: string
  readonly body: Buffer
}

export const APPLICATION_ID = randomUUID()
const TENANT_ID = randomUUID()
const DEVICE_PROFILE_ID = randomUUID()
const GATEWAY_ID = '0016c001f153a14c'

/** Events of ChirpStack v4 as its MQTT integration publishes them with `json=true`. */
export function joinEvent(device: KnownDevice): Event {
  return event('join', device, {
    ...common(device),
    // A session that has a name is told by its name alone at first.
    joinServerContext: { sessionKeyId: device.context.sessionKeyId },
  })
}

export function upEvent(device: KnownDevice, { fCnt, fPort, confirmed, data }: EncryptedUplink): Event {
  const { sessionKeyId, appSKey } = device.context
  const aesKey = Buffer.from(hexToBytes(appSKey.aesKey)).toString('base64')
  return event('up', device, {
    ...common(device),
    ...{ adr: true, dr: 5, fCnt, fPort, confirmed, data: Buffer.from(data).toString('base64') },
    rxInfo: [{ gatewayId: GATEWAY_ID, uplinkId: fCnt + 1, rssi: -87, snr: 8.5, channel: 2, crcStatus: 'CRC_OK' }],
    txInfo: {
      frequency: 868_300_000,
      modulation: { lora: { bandwidth: 125_000, spreadingFactor: 7, codeRate: 'CR_4_5' } },
    },
    joinServerContext: { sessionKeyId, appSKey: { kekLabel: appSKey.kekLabel, aesKey } },
  })
}

function common({ devEui, devAddr }: KnownDevice) {
  return {
    deduplicationId: randomUUID(),
    time: new Date().toISOString().replace('Z', '+00:00'),
    deviceInfo: {
      ...{ tenantId: TENANT_ID, tenantName: 'The owner', applicationId: APPLICATION_ID, applicationName: 'Sensors' },
      ...{ deviceProfileId: DEVICE_PROFILE_ID, deviceProfileName: 'Sensor', deviceName: `sensor ${devEui}`, devEui },
      ...{ deviceClassEnabled: 'CLASS_A', tags: {} },
    },
    devAddr,
    regionConfigId: 'eu868',
  }
}

function event(type: 'join' | 'up', { devEui }: KnownDevice, body: object): Event {
  const topic = `application/${APPLICATION_ID}/device/${devEui}/event/${type}`
  return { topic, body: Buffer.from(JSON.stringify(body)) }
}
