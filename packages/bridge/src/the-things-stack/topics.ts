/** Topics of The Things Stack's MQTT server (pkg/applicationserver/io/mqtt/topics/v3.go). */

export const COMMAND_FILTERS: readonly string[] = ['v3/+/devices/+/down/push', 'v3/+/devices/+/down/replace']

const COMMAND_TOPIC = /^v3\/([^/]+\/devices\/[^/]+)\/down\/(?:push|replace)$/
const DEVICE_TOPIC = /^v3\/([^/]+\/devices\/[^/]+)\//

/** Where a message of each kind goes, behind `v3/APPLICATION/devices/DEVICE/`. */
const PATHS = {
  uplink_message: 'up',
  uplink_normalized: 'up/normalized',
  join_accept: 'join',
  downlink_ack: 'down/ack',
  downlink_nack: 'down/nack',
  downlink_sent: 'down/sent',
  downlink_failed: 'down/failed',
  downlink_queued: 'down/queued',
  downlink_queue_invalidated: 'down/invalidated',
  location_solved: 'location/solved',
  service_data: 'service/data',
} as const

/** `APPLICATION/devices/DEVICE` of a topic on which applications publish downlinks, or undefined. */
export function deviceOfCommandTopic(topic: string): string | undefined {
  return COMMAND_TOPIC.exec(topic)?.[1]
}

/** `APPLICATION/devices/DEVICE` of any topic of a device, or undefined. */
export function deviceOfTopic(topic: string): string | undefined {
  return DEVICE_TOPIC.exec(topic)?.[1]
}

/** The topic of an ApplicationUp with these members, or undefined when it is none of a known kind. */
export function eventTopic(applicationUid: string, deviceId: string, members: readonly string[]): string | undefined {
  const path = Object.entries(PATHS).find(([member]) => members.includes(member))?.[1]
  return path && `v3/${applicationUid}/devices/${deviceId}/${path}`
}

export function pushTopic(applicationUid: string, deviceId: string): string {
  return `v3/${applicationUid}/devices/${deviceId}/down/push`
}
