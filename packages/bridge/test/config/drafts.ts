/** A configuration with every member; each test breaks one thing in a copy of it. */
export function baseline() {
  return {
    source: {
      kind: 'chirpstack',
      name: 'campus',
      mqtt: {
        url: 'mqtts://broker.example.com:8883',
        clientId: 'mortise-bridge-1',
        username: 'bridge',
        passwordFile: 'password',
        caFile: 'own.pem',
        certFile: 'own.pem',
        keyFile: 'own.key',
        topic: 'application/7/device/+/event/+',
      },
      encoding: 'protobuf',
      joinEui: '70b3d57ed0000001',
      api: { url: 'https://chirpstack.example.com:8080', tokenFile: 'token', caFile: 'own.pem' },
    },
    sinks: [
      {
        kind: 'mqtt',
        url: 'mqtt://localhost:1883',
        clientId: 'mortise-bridge-2',
        shape: 'reading',
        topic: 'doors/{devEui}',
      },
      { kind: 'http', url: 'https://app.example.com/readings', tokenFile: 'token', shape: 'source' },
      { kind: 'stdout' },
    ],
    joinServer: {
      url: 'https://js.example.com:8443',
      asId: 'doors.example',
      protocolVersion: '1.1',
      caFile: 'own.pem',
      certFile: 'own.pem',
      keyFile: 'own.key',
    },
    keks: [
      { label: 'doors-1', keyFile: 'kek.hex' },
      { label: 'doors-2', keyFile: 'kek-16.hex' },
    ],
    codecs: [{ file: 'door.js' }, { file: 'door.js', devices: ['70b3d57ed0061a01'], profiles: ['Door'] }],
    data: { directory: 'var', maxEvents: 1000, maxBytes: 1_048_576 },
    listen: '127.0.0.1:9464',
  }
}

export type Draft = Record<string, unknown>
/** A member by its path, such as `source.mqtt.url` or `sinks[0].url`, set to a value; undefined takes it out. */
export type Change = readonly [path: string, value: unknown]

export function changed(...changes: readonly Change[]): Draft {
  const draft: Draft = structuredClone(baseline())
  for (const [path, value] of changes) {
    const names = path.replaceAll(/\[(\d+)\]/g, '.$1').split('.')
    const last = names.pop() ?? ''
    let at = draft
    for (const name of names) at = at[name] as Draft
    if (value === undefined) Reflect.deleteProperty(at, last)
    else at[last] = value
  }
  return draft
}
