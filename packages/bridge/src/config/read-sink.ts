import type { SinkConfig } from '../config.ts'
import { HTTP_SCHEMES, readUrl } from './addresses.ts'
import { readTlsFiles, readToken, TLS_MEMBERS } from './files.ts'
import { MQTT_MEMBERS, readMqtt } from './read-source.ts'
import { Section } from './section.ts'

const KINDS = ['mqtt', 'http', 'stdout'] as const
const SHAPES = ['source', 'reading'] as const
const READING_TOPIC = 'mortise/{devEui}/reading'

/** One entry of `sinks`. @throws SectionFault */
export async function readSink(value: unknown, path: string, directory: string): Promise<SinkConfig> {
  const kind = kindOf(value, path, directory)
  if (kind === 'stdout') {
    const section = new Section(value, path, directory, ['kind'])
    return { kind: section.choice('kind', [kind]) }
  }
  return kind === 'mqtt'
    ? await readMqttSink(new Section(value, path, directory, ['kind', ...MQTT_MEMBERS, 'shape', 'topic']))
    : await readHttpSink(new Section(value, path, directory, ['kind', 'url', 'tokenFile', ...TLS_MEMBERS, 'shape']))
}

/** Which members there are depends on it, so it is read before they are judged. */
function kindOf(value: unknown, path: string, directory: string): SinkConfig['kind'] {
  const names = typeof value === 'object' && value !== null ? Object.keys(value) : []
  return new Section(value, path, directory, names).choice('kind', KINDS)
}

async function readMqttSink(section: Section): Promise<SinkConfig> {
  const mqtt = await readMqtt(section)
  const shape = section.choice('shape', SHAPES, 'source')
  return { kind: 'mqtt', mqtt, shape, topic: readTopic(section, shape) }
}

function readTopic(section: Section, shape: (typeof SHAPES)[number]): string {
  const topic = section.optionalText('topic')
  if (shape === 'source')
    return topic === undefined
      ? ''
      : section.fault('topic', 'is given by the source', 'leave it out, or write shape: reading')
  const name = topic ?? READING_TOPIC
  if (/[+#\0]/.test(name) || name.startsWith('$') || Buffer.byteLength(name) > 1000)
    return section.fault('topic', 'is no topic to publish on', `no wildcards; the usual one is ${READING_TOPIC}`)
  return name
}

async function readHttpSink(section: Section): Promise<SinkConfig> {
  const url = readUrl(section, HTTP_SCHEMES, 'https://app.example.com/readings')
  const service = { url, token: await readToken(section, 'tokenFile'), ...(await readTlsFiles(section)) }
  return { kind: 'http', service, shape: section.choice('shape', SHAPES, 'reading') }
}
