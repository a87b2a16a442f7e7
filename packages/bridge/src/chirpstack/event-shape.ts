import type { SessionEvent } from '@mortise/application-server'
import { type DevAddr, type DevEui, hexToBytes, type JoinEui, parseDevAddr, parseDevEui } from '@mortise/lorawan'
import { eventId } from '../event-id.ts'
import { malformed, parseHex, requireEventSize } from '../event-json.ts'
import type { ClearPayload, EventShape, NetworkEvent, ReceivedEvent } from '../network-event.ts'
import type { Encoding, JoinFields, JoinServerContextFields, UplinkFields } from './event-fields.ts'
import { encodeAddress, isApplicationId, parseEventTopic } from './topics.ts'

/**
 * Events of ChirpStack v4.
 *
 * Whether FRMPayload is encrypted says JoinServerContext, and nothing else. ChirpStack tells it with a session whose
 * AppSKey it does not use itself: wrapped, or named by a SessionKeyID; such a payload it passes on as it is. Without
 * it ChirpStack has the AppSKey, and `data` is in clear; to decrypt that would give noise, and `object` may be filled
 * already. (A join server that gives neither AppSKey nor SessionKeyID leaves
 * `data` encrypted without a word; the event does not tell, and nobody has the key.) Such an uplink is told
 * apart from one without FRMPayload, or of FPort 0, which is the network's.
 */
export class ChirpStackShape implements EventShape {
  readonly #encoding: Encoding
  readonly #joinEui: JoinEui | undefined

  /** `joinEui`: that of the devices, which ChirpStack does not tell; needed to ask the join server for an AppSKey. */
  constructor(encoding: Encoding, joinEui?: JoinEui) {
    this.#encoding = encoding
    this.#joinEui = joinEui
  }

  parse(event: ReceivedEvent): NetworkEvent {
    requireEventSize(event.body)
    const { devEui, type } = parseEventTopic(event.topic)
    if (type === 'up') return this.#uplink(devEui, event)
    if (type === 'join') return this.#join(devEui, event)
    return { kind: 'other', id: eventId(type, devEui, event.body) }
  }

  fill(event: ReceivedEvent, clear: ClearPayload): Uint8Array {
    return this.#encoding.fill(event.body, clear)
  }

  #uplink(devEui: string, { body }: ReceivedEvent): NetworkEvent {
    const fields = this.#encoding.readUplink(body)
    const device = ofDevice('up', devEui, fields, body)
    if (!isEncrypted(fields)) return { kind: 'other', id: device.id, isClearUplink: tellsAPayload(fields) }
    return {
      ...device,
      kind: 'uplink',
      uplink: { ...session(device.devEui, fields), joinEui: this.#joinEui, ...counted(fields) },
      time: fields.time,
      rx: fields.rx,
      deviceProfile: fields.device.deviceProfileName === '' ? undefined : fields.device.deviceProfileName,
    }
  }

  #join(devEui: string, { body }: ReceivedEvent): NetworkEvent {
    const fields = this.#encoding.readJoin(body)
    const device = ofDevice('join', devEui, fields, body)
    if (!namesASession(fields.context)) return { kind: 'other', id: device.id }
    return { ...device, kind: 'join', session: { ...session(device.devEui, fields), joinEui: this.#joinEui } }
  }
}

function isEncrypted({ context, fPort, data }: UplinkFields): boolean {
  return namesASession(context) && fPort !== 0 && data.length > 0
}

function tellsAPayload({ fPort, data, hasObject }: UplinkFields): boolean {
  return hasObject || (fPort !== 0 && data.length > 0)
}

function namesASession(context: JoinServerContextFields | undefined): boolean {
  return context !== undefined && (context.sessionKeyId !== '' || context.appSKey !== undefined)
}

function counted({ fPort, fCnt, data }: UplinkFields): { fPort: number; fCnt: number; frmPayload: Uint8Array } {
  if (fPort > 255) throw malformed('fPort is not a number of 0 to 255')
  return { fPort, fCnt, frmPayload: data }
}

/** ChirpStack gives every uplink and join a UUID, which all its integrations pass on. */
function ofDevice(type: 'up' | 'join', devEuiOfTopic: string, fields: JoinFields, body: Uint8Array) {
  const { device, deduplicationId } = fields
  if (device.devEui.toLowerCase() !== devEuiOfTopic) throw malformed('its topic names another device')
  if (!isApplicationId(device.applicationId)) throw malformed('applicationId is no identifier')
  const devEui = parseHex('devEui', () => parseDevEui(device.devEui))
  return {
    id: deduplicationId === '' ? eventId(type, devEui, body) : eventId(type, devEui, 'id', deduplicationId),
    devEui,
    deviceName: device.deviceName === '' ? undefined : device.deviceName,
    address: encodeAddress(device.applicationId, devEui, devAddrOf(fields)),
  }
}

function session(devEui: DevEui, fields: JoinFields): SessionEvent {
  const { timeMs, context } = fields
  const sessionKeyId = parseHex('sessionKeyId', () => hexToBytes(context?.sessionKeyId ?? ''))
  return {
    devEui,
    devAddr: devAddrOf(fields),
    sessionKeyId: sessionKeyId.length === 0 ? undefined : sessionKeyId,
    appSKey: context?.appSKey,
    timeMs,
  }
}

function devAddrOf({ devAddr }: JoinFields): DevAddr {
  return parseHex('devAddr', () => parseDevAddr(devAddr))
}
