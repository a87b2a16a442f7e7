import { type JoinEui, parseJoinEui } from '@mortise/lorawan'
import type { MqttAddress, ServiceAddress, SourceConfig, WebhookListener } from '../config.ts'
import { HTTP_SCHEMES, isLoopback, MQTT_SCHEMES, readListen, readUrl } from './addresses.ts'
import { readSecret, readTlsFiles, readToken, TLS_MEMBERS } from './files.ts'
import { Section } from './section.ts'

export const MQTT_MEMBERS = ['url', 'clientId', 'username', 'passwordFile', ...TLS_MEMBERS] as const
const SERVICE_MEMBERS = ['url', 'tokenFile', ...TLS_MEMBERS] as const
const KINDS = ['chirpstack', 'the-things-stack'] as const

/** @throws SectionFault */
export async function readSource(value: unknown, directory: string): Promise<SourceConfig> {
  const section = new Section(value, 'source', directory, [
    'kind',
    'name',
    'joinEui',
    'mqtt',
    'encoding',
    'passClear',
    'webhook',
    'api',
  ])
  const kind = section.choice('kind', KINDS)
  const encoding = section.choice('encoding', ['json', 'protobuf'], 'json')
  if (encoding === 'protobuf' && kind !== 'chirpstack')
    return section.fault('encoding', 'The Things Stack writes JSON', 'leave it out')
  const mqtt = section.section('mqtt', [...MQTT_MEMBERS, 'topic'])
  const webhook = section.section('webhook', ['listen', 'tokenFile', 'certFile', 'keyFile'])
  if (mqtt === undefined && webhook === undefined)
    return section.fault('mqtt', 'is missing', 'say where events come from: mqtt or webhook')
  const api = section.section('api', SERVICE_MEMBERS)
  return {
    kind,
    name: section.optionalText('name') ?? kind,
    encoding,
    passClear: section.flag('passClear'),
    joinEui: readJoinEui(section, kind),
    mqtt: mqtt && { ...(await readMqtt(mqtt)), topic: readTopicFilter(mqtt, kind) },
    webhook: webhook && (await readWebhook(webhook)),
    api: api && (await readApi(api)),
  }
}

/** The Things Stack tells it itself. */
function readJoinEui(section: Section, kind: SourceConfig['kind']): JoinEui | undefined {
  const text = section.optionalText('joinEui')
  if (text === undefined) return undefined
  if (kind !== 'chirpstack')
    return section.fault('joinEui', 'The Things Stack tells that of each device', 'leave it out')
  try {
    return parseJoinEui(text)
  } catch {
    return section.fault('joinEui', 'is no JoinEUI', 'write 16 hexadecimal digits in quotation marks')
  }
}

/** @throws SectionFault */
export async function readMqtt(section: Section): Promise<MqttAddress> {
  const url = readUrl(section, MQTT_SCHEMES, 'mqtts://broker.example.com:8883')
  const clientId = section.text('clientId', 'give the bridge a name at the broker that nobody else has, and keep it')
  // MQTT 3.1.1 §3.1.3.1 lets a broker refuse longer ones than 23; no known one does.
  if (!/^[\x21-\x7e]{1,128}$/.test(clientId))
    return section.fault('clientId', 'is no name for a broker', 'write 1 to 128 printable characters without spaces')
  const username = section.optionalText('username')
  const password = await readSecret(section, 'passwordFile')
  if (password !== undefined && username === undefined)
    return section.fault('username', 'is missing', 'a password goes with a user name')
  return { url, clientId, username, password, ...(await readTlsFiles(section)) }
}

/** The user name at The Things Stack's broker is the application that one may subscribe to. */
function readTopicFilter(section: Section, kind: SourceConfig['kind']): string {
  const ofApplication = section.optionalText('username') ?? '+'
  const usual = kind === 'chirpstack' ? 'application/+/device/+/event/+' : `v3/${ofApplication}/devices/+/#`
  const topic = section.optionalText('topic') ?? usual
  if (isTopicFilter(topic)) return topic
  return section.fault('topic', 'is no topic filter of MQTT', `the usual one is ${usual}`)
}

/** MQTT 3.1.1 §4.7: a wildcard is a whole level, and `#` the last one. */
function isTopicFilter(topic: string): boolean {
  if (Buffer.byteLength(topic) > 1024 || topic.includes('\0')) return false
  const levels = topic.split('/')
  return levels.every((level, index) => {
    if (level === '#') return index === levels.length - 1
    return level === '+' || !/[+#]/.test(level)
  })
}

async function readWebhook(section: Section): Promise<WebhookListener> {
  const address = readListen(section, 'listen')
  if (address === undefined)
    return section.fault('listen', 'is missing', 'write HOST:PORT, for instance "0.0.0.0:8090"')
  const token = await readToken(section, 'tokenFile')
  if (token === undefined)
    return section.fault('tokenFile', 'is missing', 'whoever posts events must show a token: openssl rand -hex 32')
  const { cert, key } = await readTlsFiles(section)
  if (cert === undefined && !isLoopback(address.host))
    return section.fault(
      'certFile',
      'is missing: without TLS the token would cross the network in clear, so that only this machine may post events',
      'name certFile and keyFile, or listen on 127.0.0.1 behind a proxy that has TLS',
    )
  return { ...address, token, cert, key }
}

async function readApi(section: Section): Promise<ServiceAddress> {
  const url = readUrl(section, HTTP_SCHEMES, 'https://chirpstack.example.com:8080')
  const token = await readToken(section, 'tokenFile')
  if (token === undefined)
    return section.fault('tokenFile', 'is missing', 'make an API key in the network server, and put it into a file')
  return { url, token, ...(await readTlsFiles(section)) }
}
