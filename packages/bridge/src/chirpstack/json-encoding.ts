import { MAX_F_CNT } from '@mortise/lorawan'
import {
  base64Member,
  type Members,
  malformed,
  numberMember,
  objectMember,
  objectsMember,
  readMembers,
  readTime,
  textMember,
  textOfBytes,
  unsignedMember,
} from '../event-json.ts'
import { replaceMembers } from '../json-text.ts'
import type { Reception } from '../network-event.ts'
import type { DeviceFields, Encoding, JoinFields, JoinServerContextFields } from './event-fields.ts'

/** ChirpStack with `json=true` ([integration.mqtt], and the HTTP integration's encoding JSON). */
export const JSON_ENCODING: Encoding = {
  readUplink(body) {
    const event = readMembers(body)
    return {
      ...joinFields(event),
      fCnt: unsignedMember(event, 'fCnt', MAX_F_CNT),
      fPort: unsignedMember(event, 'fPort', 255),
      data: base64Member(event, 'data'),
      hasObject: (event['object'] ?? null) !== null,
      rx: objectsMember(event, 'rxInfo').flatMap(reception),
    }
  },
  readJoin: (body) => joinFields(readMembers(body)),
  readDevice: (_type, body) => deviceFields(readMembers(body)),
  fill(body, { data, object }) {
    const text = replaceMembers(textOfBytes(body), ['data', 'object', 'joinServerContext'], {
      data: JSON.stringify(Buffer.from(data).toString('base64')),
      ...(object !== undefined && { object: JSON.stringify(object) }),
    })
    return Buffer.from(text)
  },
}

function joinFields(event: Members): JoinFields {
  return {
    deduplicationId: textMember(event, 'deduplicationId'),
    ...readTime(textMember(event, 'time'), 'time'),
    device: deviceFields(event),
    devAddr: textMember(event, 'devAddr'),
    context: contextFields(objectMember(event, 'joinServerContext')),
  }
}

function deviceFields(event: Members): DeviceFields {
  const info = objectMember(event, 'deviceInfo')
  if (info === undefined) throw malformed('it has no deviceInfo')
  return {
    applicationId: textMember(info, 'applicationId'),
    deviceName: textMember(info, 'deviceName'),
    deviceProfileName: textMember(info, 'deviceProfileName'),
    devEui: textMember(info, 'devEui'),
  }
}

function contextFields(context: Members | undefined): JoinServerContextFields | undefined {
  if (context === undefined) return undefined
  const envelope = objectMember(context, 'appSKey')
  return {
    sessionKeyId: textMember(context, 'sessionKeyId'),
    appSKey: envelope && { kekLabel: textMember(envelope, 'kekLabel'), aesKey: base64Member(envelope, 'aesKey') },
  }
}

function reception(rx: Members): Reception[] {
  const { gatewayId } = rx
  if (typeof gatewayId !== 'string') return []
  return [{ gatewayId, rssi: numberMember(rx, 'rssi'), snr: numberMember(rx, 'snr') }]
}
