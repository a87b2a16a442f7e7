import integrationPb from '@chirpstack/chirpstack-api/integration/integration_pb.js'
import type { JsonObject } from '@mortise/application-server'
import { parseDevEui } from '@mortise/lorawan'
import {
  base64Member,
  booleanMember,
  isMembers,
  malformed,
  readMembers,
  readTime,
  requireEventSize,
  textMember,
  unsignedMember,
} from '../event-json.ts'
import type { DownlinkCommand } from '../sink.ts'
import type { CommandShape } from '../sinks/command-inbox.ts'
import { embeddedMessages, isDeeperThan } from './protobuf-fields.ts'
import { COMMAND_FILTERS, parseCommandTopic } from './topics.ts'

/** Field number of integration.DownlinkCommand. */
const OBJECT = 6

/** As deep as a codec may nest a reading. */
const MAX_OBJECT_LEVELS = 32

interface CommandFields {
  readonly devEui: string
  readonly confirmed: boolean
  readonly fPort: number
  readonly data: Uint8Array
  readonly object?: JsonObject | undefined
  /** Milliseconds of Unix time. */
  readonly expiresAtMs?: number | undefined
}

/** What applications publish for ChirpStack: integration.DownlinkCommand, in the encoding that events have. */
export function commandShape(encoding: 'json' | 'protobuf', now: () => number = Date.now): CommandShape {
  const read = encoding === 'json' ? readJson : readProtobuf
  return {
    filters: COMMAND_FILTERS,
    parse(topic, body) {
      const devEui = parseCommandTopic(topic)
      const { fPort, confirmed, data, object, expiresAtMs, ...fields } = read(body)
      // As ChirpStack itself wants it.
      if (fields.devEui.toLowerCase() !== devEui) throw malformed('its topic names another device')
      if (fPort < 1 || fPort > 255) throw malformed('fPort is not a number of 1 to 255')
      if (expiresAtMs !== undefined && expiresAtMs <= now()) throw malformed('it has expired')
      const command: DownlinkCommand = { devEui: parseDevEui(devEui), fPort, confirmed, payload: object ?? data }
      return [command]
    },
  }
}

function readJson(body: Uint8Array): CommandFields {
  const command = readMembers(body)
  const { object } = command
  const expiresAt = textMember(command, 'expiresAt')
  if (object !== undefined && object !== null && !isMembers(object)) throw malformed('object is not an object')
  return {
    devEui: textMember(command, 'devEui'),
    confirmed: booleanMember(command, 'confirmed'),
    fPort: unsignedMember(command, 'fPort', 255),
    data: base64Member(command, 'data'),
    // What JSON.parse made of an object is one of JSON.
    object: object == null ? undefined : (object as JsonObject),
    expiresAtMs: expiresAt === '' ? undefined : readTime(expiresAt, 'expiresAt').timeMs,
  }
}

function readProtobuf(body: Uint8Array): CommandFields {
  const command = deserialize(body)
  return {
    devEui: command.getDevEui(),
    confirmed: command.getConfirmed(),
    fPort: command.getFPort(),
    data: command.getData_asU8(),
    object: command.getObject()?.toJavaScript(),
    expiresAtMs: command.getExpiresAt()?.toDate().getTime(),
  }
}

function deserialize(body: Uint8Array): integrationPb.DownlinkCommand {
  requireEventSize(body)
  try {
    if (embeddedMessages(body, OBJECT).some((object) => isDeeperThan(MAX_OBJECT_LEVELS, object))) {
      throw new RangeError('Its object is nested too deeply.')
    }
    return integrationPb.DownlinkCommand.deserializeBinary(body)
  } catch (cause) {
    throw malformed('it is no DownlinkCommand of Protobuf', { cause })
  }
}
