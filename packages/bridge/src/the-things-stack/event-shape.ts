import type { SessionEvent } from '@mortise/application-server'
import { MAX_F_CNT, parseDevAddr, parseDevEui, parseJoinEui } from '@mortise/lorawan'
import { eventId } from '../event-id.ts'
import {
  base64Member,
  type Members,
  malformed,
  numberMember,
  objectMember,
  objectsMember,
  parseHex,
  readMembers,
  readTime,
  textMember,
  textOfBytes,
  unsignedMember,
} from '../event-json.ts'
import { memberText, replaceMembers } from '../json-text.ts'
import type { ClearPayload, EventShape, NetworkEvent, ReceivedEvent, Reception } from '../network-event.ts'
import { applicationUidOf, encodeAddress, readIdentifiers } from './device-address.ts'
import { deviceOfCommandTopic } from './topics.ts'

/** What is there only while The Things Stack leaves payloads to the application, and names the key. */
const SESSION_MEMBERS = ['app_s_key', 'last_a_f_cnt_down']
const DECODED_MEMBERS = [
  'decoded_payload',
  'decoded_payload_warnings',
  'normalized_payload',
  'normalized_payload_warnings',
]
const PAYLOAD_MEMBERS = ['frm_payload', ...DECODED_MEMBERS]

/**
 * Events of The Things Stack v3: ApplicationUp as JSON. The body says what it is, so that webhooks and Pub/Sub, which
 * choose their own topics, read the same.
 *
 * Whether FRMPayload is encrypted says `app_s_key`, and nothing else: the Application Server sets it for a device whose
 * payload crypto is skipped, and clears it otherwise (pkg/applicationserver/applicationserver.go, handleUplink).
 * `session_key_id` stands in both. Without `app_s_key` the payload is in clear, and to decrypt that would give noise;
 * the same for simulated uplinks. Such an uplink is told apart from one without FRMPayload, or of FPort 0.
 */
export class TheThingsStackShape implements EventShape {
  parse({ topic, body }: ReceivedEvent): NetworkEvent {
    // Passed on, a downlink would come back from the sink's broker as an application's command.
    if (deviceOfCommandTopic(topic) !== undefined) throw malformed('its topic is one of downlinks')
    const event = readMembers(body)
    const uplink = objectMember(event, 'uplink_message')
    if (uplink !== undefined && isEncrypted(event, uplink)) return uplinkEvent(topic, event, uplink)
    const join = objectMember(event, 'join_accept')
    if (join !== undefined && hasKey(event, join)) return joinEvent(topic, event, join)
    const isClearUplink = uplink !== undefined && tellsAPayload(uplink)
    return { kind: 'other', id: eventId('other', topic, body), isClearUplink }
  }

  fill({ body }: ReceivedEvent, { data, object }: ClearPayload): Uint8Array {
    const text = textOfBytes(body)
    const uplink = replaceMembers(
      memberText(text, 'uplink_message') ?? '{}',
      [...SESSION_MEMBERS, ...PAYLOAD_MEMBERS],
      {
        frm_payload: JSON.stringify(Buffer.from(data).toString('base64')),
        ...(object !== undefined && { decoded_payload: JSON.stringify(object) }),
      },
    )
    return Buffer.from(replaceMembers(text, ['uplink_message'], { uplink_message: uplink }))
  }
}

function hasKey(event: Members, message: Members): boolean {
  return objectMember(message, 'app_s_key') !== undefined && event['simulated'] !== true
}

function isEncrypted(event: Members, uplink: Members): boolean {
  if (!hasKey(event, uplink)) return false
  return unsignedMember(uplink, 'f_port', 255) !== 0 && base64Member(uplink, 'frm_payload').length > 0
}

function tellsAPayload(uplink: Members): boolean {
  if (DECODED_MEMBERS.some((name) => (uplink[name] ?? null) !== null)) return true
  return unsignedMember(uplink, 'f_port', 255) !== 0 && base64Member(uplink, 'frm_payload').length > 0
}

function uplinkEvent(topic: string, event: Members, uplink: Members): NetworkEvent {
  const identifiers = readIdentifiers(event)
  const { devEui, deviceId } = identifiers
  const { time, session } = sessionOf(event, uplink)
  const fCnt = unsignedMember(uplink, 'f_cnt', MAX_F_CNT)
  const frmPayload = base64Member(uplink, 'frm_payload')
  const sessionKeyId = textMember(uplink, 'session_key_id')
  return {
    kind: 'uplink',
    // It has no identifier of its own; a device sends one payload under one counter.
    id: eventId('uplink', devEui, session.devAddr, sessionKeyId, String(fCnt), frmPayload),
    devEui,
    deviceName: deviceId,
    address: encodeAddress({
      ...identifiers,
      applicationUid: applicationUidOf(topic, identifiers),
      devAddr: session.devAddr,
      sessionKeyId,
      lastAFCntDown: unsignedMember(uplink, 'last_a_f_cnt_down', MAX_F_CNT),
    }),
    uplink: { ...session, fPort: unsignedMember(uplink, 'f_port', 255), fCnt, frmPayload },
    time,
    rx: objectsMember(uplink, 'rx_metadata').flatMap(reception),
    deviceProfile: modelOf(uplink),
  }
}

function joinEvent(topic: string, event: Members, join: Members): NetworkEvent {
  const identifiers = readIdentifiers(event)
  const { devEui, deviceId } = identifiers
  const { session } = sessionOf(event, join)
  const sessionKeyId = textMember(join, 'session_key_id')
  return {
    kind: 'join',
    id: eventId('join', devEui, session.devAddr, sessionKeyId),
    devEui,
    deviceName: deviceId,
    address: encodeAddress({
      ...identifiers,
      applicationUid: applicationUidOf(topic, identifiers),
      devAddr: session.devAddr,
      sessionKeyId,
      lastAFCntDown: 0,
    }),
    session,
  }
}

/** Both kinds of message name the session in the same members. */
function sessionOf(event: Members, message: Members): { readonly time: string; readonly session: SessionEvent } {
  const ids = objectMember(event, 'end_device_ids') ?? {}
  const { time, timeMs } = readTime(
    textMember(message, 'received_at') || textMember(event, 'received_at'),
    'received_at',
  )
  const sessionKeyId = base64Member(message, 'session_key_id')
  const envelope = objectMember(message, 'app_s_key')
  const joinEui = textMember(ids, 'join_eui')
  const session = parseHex('a member of end_device_ids', () => ({
    devEui: parseDevEui(textMember(ids, 'dev_eui')),
    devAddr: parseDevAddr(textMember(ids, 'dev_addr')),
    joinEui: joinEui === '' ? undefined : parseJoinEui(joinEui),
  }))
  return {
    time,
    session: {
      ...session,
      sessionKeyId: sessionKeyId.length === 0 ? undefined : sessionKeyId,
      appSKey: envelope && appSKey(envelope),
      timeMs,
    },
  }
}

/** A KeyEnvelope has the wrapped key in `encrypted_key`, one in clear in `key` (api/ttn/lorawan/v3/keys.proto). */
function appSKey(envelope: Members): SessionEvent['appSKey'] {
  const encrypted = base64Member(envelope, 'encrypted_key')
  const kekLabel = textMember(envelope, 'kek_label')
  return { kekLabel, aesKey: encrypted.length > 0 ? encrypted : Buffer.from(textMember(envelope, 'key'), 'hex') }
}

function reception(metadata: Members): Reception[] {
  const gatewayId = objectMember(metadata, 'gateway_ids')?.['gateway_id']
  if (typeof gatewayId !== 'string') return []
  return [{ gatewayId, rssi: numberMember(metadata, 'rssi'), snr: numberMember(metadata, 'snr') }]
}

/** `brand/model`: the nearest to a device profile that an event tells. */
function modelOf(uplink: Members): string | undefined {
  const version = objectMember(uplink, 'version_ids') ?? {}
  const [brand, model] = [textMember(version, 'brand_id'), textMember(version, 'model_id')]
  return brand === '' || model === '' ? undefined : `${brand}/${model}`
}
