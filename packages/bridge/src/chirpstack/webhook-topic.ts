import { malformed } from '../event-json.ts'
import type { TopicOf } from '../webhook/webhook-source.ts'
import type { Encoding } from './event-fields.ts'
import { eventTopic, isApplicationId } from './topics.ts'

const CONTENT_TYPES = { json: 'application/json', protobuf: 'application/octet-stream' } as const

/**
 * ChirpStack's HTTP integration posts `?event=TYPE`, and says the encoding in content-type
 * (chirpstack/src/integration/http.rs).
 */
export function webhookTopic(name: 'json' | 'protobuf', encoding: Encoding): TopicOf {
  return ({ query, contentType, body }) => {
    const type = query.get('event') ?? ''
    if (!/^[a-z]{1,32}$/.test(type)) throw malformed('the query does not tell its type')
    if (contentType !== CONTENT_TYPES[name]) throw malformed(`its content-type is not ${CONTENT_TYPES[name]}`)
    const { applicationId, devEui } = encoding.readDevice(type, body)
    if (!isApplicationId(applicationId)) throw malformed('applicationId is no identifier')
    if (!/^[0-9a-fA-F]{16}$/.test(devEui)) throw malformed('devEui is not hexadecimal of its size')
    return eventTopic(applicationId, devEui.toLowerCase(), type)
  }
}
