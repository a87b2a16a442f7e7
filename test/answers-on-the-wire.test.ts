import { randomBytes } from 'node:crypto'
import {
  type BackendInterfacesClient,
  createClient,
  type DialectName,
  DIALECT_NAMES,
  dialectOf,
  encodeAppSKeyReq,
  encodeHomeNsReq,
  encodeJoinReq,
  encodeRejoinReq,
  type FailureCode,
  resultCodeFor,
} from '@mortise/backend-interfaces'
import { type MacVersion, parseDevAddr, parseDevEui, parseNetId, parseNsId } from '@mortise/lorawan'
import type { Device } from '@mortise/simulator'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import {
  chirpStackComplaint,
  chirpStackPayloads,
  ttsAppSKey,
  ttsComplaint,
} from '../packages/backend-interfaces/test/peer-rules.ts'
import { DeviceFile } from './support/device-file.ts'
import { Installation, type ServerProcess } from './support/installation.ts'
import { addPeer, AS_ID, JOIN_EUI, setKek, tlsOf } from './support/parties.ts'

/**
 * What goes back over HTTP, for every success and every refusal that a peer can meet, held against what ChirpStack and
 * The Things Stack were seen to accept. Requests are written as each kind of network server writes them.
 */

const START_TIMEOUT_MS = 240_000
const NS_ID = parseNsId('70b3d57ed0000013')
const VERSIONS: readonly MacVersion[] = ['1.0.0', '1.0.3', '1.0.4', '1.1.0']
/** An application server that has no KEK. */
const AS_WITHOUT_KEK = 'meters.example'
/** A network server that gets its keys under a KEK only, and has none. */
const KEK_ONLY = parseNetId('60000f')
const STRANGER = parseNetId('60000e')

const NETWORKS = DIALECT_NAMES.map((dialect, index) => ({ dialect, netId: parseNetId(`60000${index + 1}`) }))

let installation: Installation
let server: ServerProcess
const clients = new Map<string, BackendInterfacesClient>()
const devices = new DeviceFile()

beforeAll(async () => {
  installation = await Installation.create()
  const directories = new Map<string, string>()
  directories.set(AS_ID, await addPeer(installation, 'as', AS_ID))
  directories.set(AS_WITHOUT_KEK, await addPeer(installation, 'as', AS_WITHOUT_KEK))
  directories.set(KEK_ONLY, await addPeer(installation, 'ns', KEK_ONLY, ['--kek-only']))
  directories.set(STRANGER, await addPeer(installation, 'ns', STRANGER))
  for (const { dialect, netId } of NETWORKS) {
    const nsId = versionOf(dialect) === '1.1' ? ['--ns-id', NS_ID, '--protocol', '1.1'] : []
    directories.set(netId, await addPeer(installation, 'ns', netId, ['--dialect', dialect, ...nsId]))
    addDevices(netId)
  }
  devices.add(`no KEK ${KEK_ONLY}`, '1.0.4', [KEK_ONLY], AS_ID)
  await setKek(installation, 'as', AS_ID, 'doors', 32)
  await devices.enrol(installation)
  server = await installation.serve()
  for (const { netId } of NETWORKS)
    await installation.mortise('peer', 'agreement', 'add', '--ns', netId, '--join-eui', `${JOIN_EUI}/64`)
  await installation.mortise('peer', 'disable', `ns:${STRANGER}`, '--yes')
  for (const [id, directory] of directories) clients.set(id, connect(directory, dialectOfPeer(id)))
}, START_TIMEOUT_MS)
afterAll(async () => {
  for (const client of clients.values()) await client.close()
  await installation[Symbol.asyncDispose]()
})

function addDevices(netId: string): void {
  for (const version of VERSIONS) {
    devices.add(`owner's ${version} ${netId}`, version, [netId], AS_ID)
    devices.add(`network's ${version} ${netId}`, version, [netId], 'network')
    devices.add(`nobody's ${version} ${netId}`, version, [netId], '')
  }
  devices.add(`refused ${netId}`, '1.1.0', [netId], AS_ID)
  devices.add(`not joined ${netId}`, '1.1.0', [netId], AS_ID)
  devices.add(`elsewhere ${netId}`, '1.0.4', ['00dead'], AS_ID)
  devices.add(`nowhere ${netId}`, '1.0.4', [], AS_ID)
  devices.add(`no application KEK ${netId}`, '1.0.4', [netId], AS_WITHOUT_KEK)
}

function dialectOfPeer(id: string): DialectName {
  return NETWORKS.find(({ netId }) => netId === id)?.dialect ?? 'standard-1.0'
}

function versionOf(dialect: DialectName): '1.0' | '1.1' {
  return dialectOf(dialect).protocolVersions.includes('1.1') ? '1.1' : '1.0'
}

function connect(directory: string, dialect: DialectName): BackendInterfacesClient {
  return createClient({ url: server.biUrl, ...tlsOf(directory), timeoutMs: 10_000, style: dialectOf(dialect).asks })
}

/** The body of the answer, as it came. */
async function post(caller: string, body: string): Promise<{ readonly status: number; readonly text: string }> {
  const client = clients.get(caller)
  if (client === undefined) throw new Error(caller)
  const { status, contentType, body: answer } = await client.post(body)
  expect(contentType).toBe('application/json')
  return { status, text: Buffer.from(answer).toString() }
}

function resultOf(text: string): string {
  return (JSON.parse(text) as { Result: { ResultCode: string } }).Result.ResultCode
}

/** Why the peers that speak so would lose an answer; undefined when they take it. */
function complaintOf(dialect: DialectName, text: string): string | undefined {
  const isChirpStack = dialect === 'chirpstack-4' || dialect === 'chirpstack-3'
  return isChirpStack ? chirpStackComplaint(text) : ttsComplaint(text)
}

describe.each(NETWORKS)('$dialect', ({ dialect, netId }) => {
  const { asks: style } = dialectOf(dialect)
  const protocolVersion = versionOf(dialect)
  const ids = { protocolVersion, senderId: netId, senderNsId: protocolVersion === '1.1' ? NS_ID : undefined }

  function activation({ identity }: Device, phyPayload: Uint8Array) {
    const { devEui, joinEui, macVersion } = identity
    const settings = { dlSettings: macVersion === '1.1.0' ? 0x80 : 0, rxDelay: 5 }
    const devAddr = parseDevAddr(randomBytes(4).toString('hex'))
    return { ...ids, ...settings, devEui, devAddr, receiverId: joinEui, macVersion, phyPayload }
  }

  /** A request as this kind of network server writes it; `change` is made to its members afterwards. */
  async function joinReq(device: Device, change: object = {}): Promise<string> {
    return changed(encodeJoinReq(activation(device, await device.joinRequest()), 988596437, style), change)
  }

  function changed(body: string, change: object): string {
    return JSON.stringify({ ...(JSON.parse(body) as object), ...change }) + style.end
  }

  async function accepted(body: string): Promise<string> {
    const { status, text } = await post(netId, body)
    expect([status, resultOf(text), complaintOf(dialect, text)]).toEqual([200, 'Success', undefined])
    return text
  }

  describe.each(VERSIONS)('takes the answer to a join of LoRaWAN %s, and payloads are read', (version) => {
    const delivered = (text: string) =>
      dialect.startsWith('chirpstack-4') ? chirpStackPayloads(text) : ttsAppSKey(text)
    const isChirpStack4 = dialect === 'chirpstack-4'

    test('by the owner', async () => {
      const text = await accepted(await joinReq(devices.get(`owner's ${version} ${netId}`)))
      expect(delivered(text)).toBe(isChirpStack4 ? 'for the application' : 'wrapped')
    })

    test('by the network, where the owner says so', async () => {
      const text = await accepted(await joinReq(devices.get(`network's ${version} ${netId}`)))
      expect(delivered(text)).toBe(isChirpStack4 ? 'decrypted by ChirpStack' : 'clear')
    })

    test('by whom the owner names later, where nobody is named', async () => {
      const text = await accepted(await joinReq(devices.get(`nobody's ${version} ${netId}`)))
      expect(delivered(text)).toBe(isChirpStack4 ? 'for the application' : 'AppSKeyReq')
      expect(JSON.parse(text)).not.toHaveProperty('AppSKey')
    })
  })

  test('takes the answers to rejoins, HomeNSReq and AppSKeyReq', async () => {
    const device = devices.get(`owner's 1.1.0 ${netId}`)
    const joined = JSON.parse(await accepted(await joinReq(device))) as Record<string, string>
    await device.handleJoinAccept(Buffer.from(joined['PHYPayload']!, 'hex'))
    const rejoin = activation(device, await device.rejoinRequest(1))
    await accepted(encodeRejoinReq(rejoin, 988596437, style))
    const { devEui } = device.identity
    const home = await accepted(encodeHomeNsReq({ ...ids, receiverId: JOIN_EUI, devEui }, 2397412250, style))
    expect((JSON.parse(home) as { HNetID: string }).HNetID.toLowerCase()).toBe(netId)
    const sessionKeyId = Buffer.from(joined['SessionKeyID']!, 'hex')
    const asked = { protocolVersion, senderId: AS_ID, receiverId: JOIN_EUI, devEui, sessionKeyId }
    const { text } = await post(AS_ID, encodeAppSKeyReq(asked, 0, style))
    expect([resultOf(text), ttsComplaint(text)]).toEqual(['Success', undefined])
  })

  interface Refusal {
    readonly name: string
    readonly result: FailureCode
    readonly body: (device: Device) => Promise<string> | string
    /** Another device than that of all the others. */
    readonly device?: string
    readonly caller?: string
    readonly status?: number
  }
  const refusals: readonly Refusal[] = [
    {
      name: 'an unknown DevEUI',
      result: 'UnknownDevEUI',
      body: (device) => {
        const devEui = randomBytes(8)
        const euis = [Buffer.from(JOIN_EUI, 'hex').reverse(), Buffer.from(devEui).reverse()]
        const frame = Buffer.concat([Buffer.of(0), ...euis, randomBytes(6)])
        return encodeJoinReq({ ...activation(device, frame), devEui: parseDevEui(devEui.toString('hex')) }, 1, style)
      },
    },
    {
      name: 'a wrong MIC',
      result: 'MICFailed',
      body: async (device) => {
        const frame = await device.joinRequest()
        frame[22] = (frame[22] ?? 0) ^ 1
        return encodeJoinReq(activation(device, frame), 1, style)
      },
    },
    {
      name: 'a DevNonce that was used',
      result: 'FrameReplayed',
      body: async (device) => {
        const frame = await device.joinRequest()
        await accepted(encodeJoinReq(activation(device, frame), 1, style))
        return encodeJoinReq(activation(device, frame), 2, style)
      },
    },
    { name: 'a network that is not allowed', result: 'NoRoamingAgreement', device: 'elsewhere', body: joinReq },
    { name: 'a device without any network', result: 'ActivationDisallowed', device: 'nowhere', body: joinReq },
    { name: 'an owner without a KEK', result: 'JoinReqFailed', device: 'no application KEK', body: joinReq },
    {
      name: 'a rejoin before the first join',
      result: 'JoinReqFailed',
      device: 'not joined',
      body: (device) => {
        const frame = Buffer.concat([Buffer.of(0xc0, 0), Buffer.from(netId, 'hex').reverse()])
        const devEui = Buffer.from(device.identity.devEui, 'hex').reverse()
        return encodeRejoinReq(activation(device, Buffer.concat([frame, devEui, randomBytes(6)])), 1, style)
      },
    },
    {
      name: 'the SenderID of another',
      result: 'UnknownSender',
      body: (device) => joinReq(device, { SenderID: KEK_ONLY }),
    },
    {
      name: 'a peer that was disabled',
      result: 'UnknownSender',
      caller: STRANGER,
      body: (device) => joinReq(device, { SenderID: STRANGER }),
    },
    { name: 'no frame', result: 'Malformed', body: (device) => joinReq(device, { PHYPayload: undefined }) },
    {
      name: 'the uplink of a relay',
      result: 'FrameSizeError',
      body: (device) => joinReq(device, { PHYPayload: `40${randomBytes(30).toString('hex')}` }),
    },
    { name: 'no ReceiverID', result: 'Malformed', body: (device) => joinReq(device, { ReceiverID: undefined }) },
    { name: 'no TransactionID', result: 'Malformed', body: (device) => joinReq(device, { TransactionID: undefined }) },
    {
      name: 'another version of the protocol',
      result: 'InvalidProtocolVersion',
      body: (device) => joinReq(device, { ProtocolVersion: '2.0' }),
    },
    {
      name: 'a message that is none of a join server',
      result: 'Malformed',
      body: (device) => joinReq(device, { MessageType: 'PRStartReq' }),
    },
    { name: 'what is no JSON', result: 'Malformed', status: 400, body: () => '{"MessageType":"JoinReq",' },
    {
      name: 'AppSKeyReq of a network server',
      result: 'UnknownSender',
      body: (device) => {
        const { devEui } = device.identity
        const ids = { protocolVersion, senderId: netId, receiverId: JOIN_EUI, devEui }
        return encodeAppSKeyReq({ ...ids, sessionKeyId: randomBytes(8) }, 0, style)
      },
    },
    {
      name: 'HomeNSReq for an unknown device',
      result: 'UnknownDevEUI',
      body: () => {
        const devEui = parseDevEui(randomBytes(8).toString('hex'))
        return encodeHomeNsReq({ ...ids, receiverId: JOIN_EUI, devEui }, 1, style)
      },
    },
  ]

  test.each(refusals)('can read the refusal of $name', async ({ result, device, caller, status, body }) => {
    const { status: answered, text } = await post(
      caller ?? netId,
      await body(devices.get(`${device ?? 'refused'} ${netId}`)),
    )
    expect(answered).toBe(status ?? 200)
    // A peer that is none any more is answered as the standard has it.
    const spoken = caller === undefined ? dialectOf(dialect) : dialectOf('standard-1.0')
    const version = (JSON.parse(text) as { ProtocolVersion: '1.0' | '1.1' }).ProtocolVersion
    expect(resultOf(text)).toBe(resultCodeFor(result, version, spoken))
    expect(complaintOf(dialect, text)).toBeUndefined()
    expect((JSON.parse(text) as { Result: { Description: string } }).Result.Description).toMatch(/\w/)
  })
})

test('a network server that takes keys under a KEK only, and has none, is told so', async () => {
  const device = devices.get(`no KEK ${KEK_ONLY}`)
  const { devEui, joinEui: receiverId, macVersion } = device.identity
  const settings = { dlSettings: 0, rxDelay: 5, devAddr: parseDevAddr('26011bda') }
  const ids = { protocolVersion: '1.0', senderId: KEK_ONLY, receiverId } as const
  const phyPayload = await device.joinRequest()
  const { text } = await post(KEK_ONLY, encodeJoinReq({ ...ids, ...settings, devEui, macVersion, phyPayload }, 1))
  expect([resultOf(text), chirpStackComplaint(text), ttsComplaint(text)]).toEqual([
    'JoinReqFailed',
    undefined,
    undefined,
  ])
  expect(text).toContain('has no KEK')
})
