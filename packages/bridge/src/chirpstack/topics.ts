import { malformed } from '../event-json.ts'

/** `…/application/ID/device/DEVEUI/event/TYPE`, also behind a prefix. */
const EVENT_TOPIC = /(?:^|\/)device\/([0-9a-fA-F]{16})\/event\/([a-z]{1,32})$/

/** Text in ChirpStack's identifiers, so that an address stays short and safe to print. */
const APPLICATION_ID = /^[0-9a-zA-Z-]{1,64}$/

/** `application/ID/device/DEVEUI/command/down` */
const COMMAND_TOPIC = /(?:^|\/)device\/([0-9a-fA-F]{16})\/command\/down$/

export const COMMAND_FILTERS: readonly string[] = ['application/+/device/+/command/down']

export interface TopicOfDevice {
  /** Lower case. */
  readonly devEui: string
  /** `up`, `join`, `ack`, … */
  readonly type: string
}

/**
 * What an event is says its topic alone: a body of Protobuf does not name its message, and one read as another gives
 * numbers that look right.
 * @throws {BridgeError} `event_malformed`
 */
export function parseEventTopic(topic: string): TopicOfDevice {
  const [, devEui, type] = EVENT_TOPIC.exec(topic) ?? []
  if (devEui === undefined || type === undefined) throw malformed('its topic does not end in /device/DEVEUI/event/TYPE')
  return { devEui: devEui.toLowerCase(), type }
}

export function isApplicationId(text: string): boolean {
  return APPLICATION_ID.test(text)
}

/** The topic that an event has over MQTT, with ChirpStack's usual template. */
export function eventTopic(applicationId: string, devEui: string, type: string): string {
  return `application/${applicationId}/device/${devEui}/event/${type}`
}

/** The device that a command is for, lower case. @throws {BridgeError} `event_malformed` */
export function parseCommandTopic(topic: string): string {
  const [, devEui] = COMMAND_TOPIC.exec(topic) ?? []
  if (devEui === undefined) throw malformed('its topic does not end in /device/DEVEUI/command/down')
  return devEui.toLowerCase()
}

/** Where a device is, and in which session. */
export function encodeAddress(applicationId: string, devEui: string, devAddr: string): string {
  return `application/${applicationId}/device/${devEui} ${devAddr}`
}

/** The DevAddr in an address. */
export function devAddrOfAddress(address: string): string {
  return address.slice(address.lastIndexOf(' ') + 1)
}
