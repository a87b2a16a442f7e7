import type { Encoding } from './event-fields.ts'
import { JSON_ENCODING } from './json-encoding.ts'
import { PROTOBUF_ENCODING } from './protobuf-encoding.ts'

export { commandShape } from './commands.ts'
export { ChirpStackDownlinks } from './downlink-path.ts'
export { ChirpStackShape } from './event-shape.ts'
export { webhookTopic } from './webhook-topic.ts'

export const ENCODINGS: Readonly<Record<'json' | 'protobuf', Encoding>> = {
  json: JSON_ENCODING,
  protobuf: PROTOBUF_ENCODING,
}
