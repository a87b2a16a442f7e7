import { type BridgePlan, isLocalWebhook, type PlannedSink } from './plan.ts'

/** Names by which the bridge is known at brokers: of its own, and for good. */
export interface ClientIds {
  readonly source: string
  readonly sink: (index: number) => string
}

/** The configuration of a new bridge, with a word on every member. */
export function configText(plan: BridgePlan, clientIds: ClientIds): string {
  return [
    '# The bridge: encrypted uplinks of a network server in, readings out. Names of files are relative to this one.',
    '# Keys, passwords and tokens have files of their own, mode 0600, and no place here.',
    '# What is wrong, and how to mend it: mortise bridge check --config config.yaml',
    '',
    ...sourceLines(plan, clientIds.source),
    '',
    '# Where readings go. Each has a place of its own in the queue: one that is down stops no other.',
    'sinks:',
    ...plan.sinks.flatMap((sink, index) => sinkLines(sink, clientIds.sink(index + 1), plan.sinkUser)),
    '',
    ...joinServerLines(plan),
    '',
    '# What opens AppSKeys: 256 bits as hexadecimal digits (128 and 192 are taken too), the same as at the join server.',
    '# For a new KEK add an entry, and leave the old one as long as its sessions live.',
    'keks:',
    `  - label: ${quoted(plan.kekLabel)}`,
    '    keyFile: kek.hex',
    '',
    '# Payload codecs (LoRa Alliance TS013, as in ChirpStack and The Things Stack). Without devices and profiles: for all.',
    '# codecs:',
    '#   - file: door.js',
    '#     devices: ["70b3d57ed0061a01"]',
    '#     profiles: ["Door sensor"]',
    '',
    'data:',
    '  # The queue and the sessions: on a local disk, for one bridge only.',
    '  directory: data',
    '  # What may wait, encrypted, while a sink is down. When it is full, the network keeps what comes.',
    '  # maxEvents: 1000000',
    '  # maxBytes: 2147483648',
    '',
    '# /metrics and /readyz, over HTTP without TLS.',
    'listen: "127.0.0.1:9464"',
    '',
  ].join('\n')
}

/** ChirpStack's events do not tell it. */
const JOIN_EUI = [
  '  # Needed only where the join server gives ChirpStack the name of a session and no key: the JoinEUI to ask for.',
  '  # joinEui: "70b3d57ed0000001"',
]

function sourceLines({ source, from, apiUrl }: BridgePlan, clientId: string): string[] {
  const isChirpStack = source === 'chirpstack'
  return [
    'source:',
    `  kind: ${source}`,
    '  # In readings, to tell several networks apart.',
    `  name: ${source}`,
    '  # Whether uplinks that the network tells in clear are passed on: of devices that are not encrypted for the owner.',
    '  # passClear: true',
    ...('webhook' in from ? webhookLines(from.webhook) : brokerLines(from, clientId, isChirpStack)),
    ...(isChirpStack ? ['  # As ChirpStack has it: json or protobuf.', '  encoding: json', ...JOIN_EUI] : []),
    isChirpStack
      ? "  # For downlinks: ChirpStack's gRPC API, with an API key of the tenant."
      : '  # For downlinks where events come as webhooks: the HTTP API, with an API key of the application.',
    ...optional(apiUrl !== undefined, [
      '  api:',
      `    url: ${quoted(apiUrl ?? (isChirpStack ? 'https://chirpstack.example.com:8080' : 'https://stack.example.com'))}`,
      '    tokenFile: api-token',
    ]),
    ...optional(false, ['    caFile: api-ca.pem']),
  ]
}

function brokerLines(from: { mqttUrl: string; user?: string }, clientId: string, isChirpStack: boolean): string[] {
  const { mqttUrl, user } = from
  const application = user ?? 'doors@acme'
  return [
    '  mqtt:',
    `    url: ${quoted(mqttUrl)}`,
    '    # The broker keeps what comes for this name while the bridge is stopped: never change it.',
    `    clientId: ${quoted(clientId)}`,
    ...optional(user !== undefined, [`    username: ${quoted(user ?? 'bridge')}`, '    passwordFile: source-password']),
    '    # Without caFile, the authorities of this machine. A client certificate where the broker wants one.',
    ...optional(false, ['    caFile: source-ca.pem', '    certFile: source-cert.pem', '    keyFile: source-key.pem']),
    ...optional(false, [
      `    topic: ${quoted(isChirpStack ? 'application/+/device/+/event/+' : `v3/${application}/devices/+/#`)}`,
    ]),
  ]
}

function webhookLines(webhook: string): string[] {
  return [
    '  # The network posts its events here, and shows the token: `authorization: Bearer …`.',
    '  webhook:',
    `    listen: ${quoted(webhook)}`,
    '    tokenFile: webhook-token',
    ...optional(!isLocalWebhook(webhook), ['    certFile: webhook-cert.pem', '    keyFile: webhook-key.pem']),
  ]
}

function sinkLines(sink: PlannedSink, clientId: string, user: string | undefined): string[] {
  if (sink.kind === 'stdout') return ['  # One JSON object a line.', '  - kind: stdout']
  if (sink.kind === 'http')
    return [
      '  # Each reading is posted as one JSON object; with shape: source, the event of the network in clear.',
      '  - kind: http',
      `    url: ${quoted(sink.url)}`,
      '    shape: reading',
      ...optional(false, ['    tokenFile: sink-token', '    caFile: sink-ca.pem']),
    ]
  return [
    '  # With shape: source, the event of the network in clear, under its own topic.',
    '  - kind: mqtt',
    `    url: ${quoted(sink.url)}`,
    `    clientId: ${quoted(clientId)}`,
    '    shape: source',
    ...optional(user !== undefined, [`    username: ${quoted(user ?? 'bridge')}`, '    passwordFile: sink-password']),
    ...optional(false, ['    caFile: sink-ca.pem']),
  ]
}

function joinServerLines({ joinServer, asId }: BridgePlan): string[] {
  return [
    '# Asked for an AppSKey where the network passes on the name of a session alone.',
    ...optional(joinServer !== undefined, [
      'joinServer:',
      `  url: ${quoted(joinServer ?? 'https://js.example.com:8443')}`,
      `  asId: ${quoted(asId)}`,
      '  caFile: ca.pem',
      '  certFile: cert.pem',
      '  keyFile: as-key.pem',
    ]),
  ]
}

/** Lines that are there, or stand as a comment, to be taken out of it. */
function optional(isThere: boolean, lines: readonly string[]): string[] {
  return lines.map((line) => (isThere ? line : line.replace(/^( *)/, '$1# ')))
}

/** JSON's strings are YAML's. */
function quoted(text: string): string {
  return JSON.stringify(text)
}
