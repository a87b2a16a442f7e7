import { type DevEui, MAX_F_CNT, parseDevEui } from '@mortise/lorawan'
import { BridgeError } from '../errors.ts'
import { isMembers, type Members, malformed, objectMember, parseHex, parseJson, textMember } from '../event-json.ts'

/** Identifiers in The Things Stack: lower-case letters, digits and dashes, up to 36 (api/ttn/lorawan/v3/identifiers.proto). */
const IDENTIFIER = /^[a-z0-9](?:-?[a-z0-9]){1,35}$/

export interface DeviceIdentifiers {
  readonly applicationId: string
  readonly deviceId: string
  readonly devEui: DevEui
}

/** What a downlink must name, as the last event of the device had it. */
export interface DeviceAddress extends Omit<DeviceIdentifiers, 'devEui'> {
  /** The application as it stands in topics: behind it, where the deployment has tenants, `@TENANT`. */
  readonly applicationUid: string
  /** Of the session that the event tells of. */
  readonly devAddr: string
  /** Base64. */
  readonly sessionKeyId: string
  readonly lastAFCntDown: number
}

/** @throws {BridgeError} `event_malformed` */
export function readIdentifiers(event: Members): DeviceIdentifiers {
  const ids = objectMember(event, 'end_device_ids') ?? {}
  const application = objectMember(ids, 'application_ids') ?? {}
  return {
    applicationId: identifier(application, 'application_id'),
    deviceId: identifier(ids, 'device_id'),
    devEui: parseHex('dev_eui', () => parseDevEui(textMember(ids, 'dev_eui'))),
  }
}

function identifier(members: Members, name: string): string {
  const text = textMember(members, name)
  if (IDENTIFIER.test(text)) return text
  throw malformed(`${name} is no identifier`)
}

const TENANT = /^@[a-z0-9](?:-?[a-z0-9]){1,35}$/

/** As a topic has it, if it is one of this application and device; otherwise without tenant. */
export function applicationUidOf(topic: string, { applicationId, deviceId }: DeviceIdentifiers): string {
  const [, uid = '', device] = /^v3\/([^/]+)\/devices\/([^/]+)\//.exec(topic) ?? []
  return device === deviceId && isUidOf(applicationId, uid) ? uid : applicationId
}

function isUidOf(applicationId: string, uid: string): boolean {
  return uid.startsWith(applicationId) && (uid === applicationId || TENANT.test(uid.slice(applicationId.length)))
}

export function encodeAddress(address: DeviceAddress): string {
  const { applicationId, applicationUid, deviceId, devAddr, sessionKeyId, lastAFCntDown } = address
  return JSON.stringify({ applicationId, applicationUid, deviceId, devAddr, sessionKeyId, lastAFCntDown })
}

/** @throws {BridgeError} `downlink_refused`: it is none of ours */
export function decodeAddress(address: string): DeviceAddress {
  const value = parseJson(address)
  const { applicationId, applicationUid, deviceId, devAddr, sessionKeyId, lastAFCntDown } = isMembers(value)
    ? value
    : {}
  if (
    typeof applicationId === 'string' &&
    typeof applicationUid === 'string' &&
    typeof deviceId === 'string' &&
    typeof devAddr === 'string' &&
    typeof sessionKeyId === 'string' &&
    typeof lastAFCntDown === 'number' &&
    IDENTIFIER.test(applicationId) &&
    isUidOf(applicationId, applicationUid) &&
    IDENTIFIER.test(deviceId) &&
    lastAFCntDown <= MAX_F_CNT
  ) {
    return { applicationId, applicationUid, deviceId, devAddr, sessionKeyId, lastAFCntDown }
  }
  throw new BridgeError('downlink_refused', 'The address kept with the device is not one of The Things Stack.')
}
