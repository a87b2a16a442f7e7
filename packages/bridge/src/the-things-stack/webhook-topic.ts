import { malformed, readMembers } from '../event-json.ts'
import type { Posted } from '../webhook/webhook-source.ts'
import { readIdentifiers } from './device-address.ts'
import { eventTopic } from './topics.ts'

/**
 * A webhook of The Things Stack does not name the tenant, so that the topic is one of a deployment without tenants.
 * @throws {BridgeError} `event_malformed`
 */
export function webhookTopic({ body }: Posted): string {
  const event = readMembers(body)
  const { applicationId, deviceId } = readIdentifiers(event)
  const topic = eventTopic(applicationId, deviceId, Object.keys(event))
  if (topic === undefined) throw malformed('it is no message of a known kind')
  return topic
}
