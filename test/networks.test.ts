import { randomBytes } from 'node:crypto'
import { createClient, type DialectName, dialectOf, unwrapKeyEnvelope } from '@mortise/backend-interfaces'
import { cryptFrmPayload, decodeDataFrame, type MacVersion, parseDevEui, parseNetId, parseNsId } from '@mortise/lorawan'
import { createBlockCipher } from '@mortise/lorawan/node-aes'
import { AnswerListener, NetworkServer } from '@mortise/simulator'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { DeviceFile } from './support/device-file.ts'
import { Installation, type ServerProcess } from './support/installation.ts'
import { issueListenerTls } from './support/listener-tls.ts'
import { addPeer, AS_ID, joinDevice, setKek, tlsOf } from './support/parties.ts'

interface TestNetwork {
  readonly dialect: DialectName
  readonly netId: string
  readonly answers: 'sync' | 'async'
  readonly kek: 16 | 32 | undefined
}

/** Network servers of every kind that is known. */
const NETWORKS: readonly TestNetwork[] = [
  { dialect: 'standard-1.0', netId: '000013', answers: 'sync', kek: 32 },
  { dialect: 'standard-1.0', netId: '600001', answers: 'async', kek: undefined },
  { dialect: 'standard-1.1', netId: '600002', answers: 'sync', kek: undefined },
  { dialect: 'standard-1.1', netId: '600003', answers: 'async', kek: 32 },
  { dialect: 'chirpstack-4', netId: '600004', answers: 'sync', kek: 16 },
  { dialect: 'chirpstack-4', netId: '600005', answers: 'async', kek: undefined },
  { dialect: 'chirpstack-3', netId: '600006', answers: 'async', kek: 16 },
  { dialect: 'the-things-stack', netId: '600007', answers: 'sync', kek: 32 },
  { dialect: 'helium', netId: 'c00053', answers: 'sync', kek: undefined },
]

const VERSIONS: readonly MacVersion[] = ['1.0.0', '1.0.2', '1.0.3', '1.0.4', '1.1.0']
const NS_ID = parseNsId('70b3d57ed0000013')

let installation: Installation
let server: ServerProcess
let asKek: Buffer
const nsKeks = new Map<string, Buffer>()
const inboxes = new Map<string, AnswerListener>()
const directories = new Map<string, string>()

/** Every device that a test needs, by the test's name and the network. */
const devices = new DeviceFile()

beforeAll(async () => {
  installation = await Installation.create()
  await addPeer(installation, 'as', AS_ID)
  asKek = await setKek(installation, 'as', AS_ID, 'doors', 32)
  for (const network of NETWORKS) await letIn(network)
  for (const { netId } of NETWORKS) {
    for (const version of VERSIONS) devices.add(`${version} ${netId}`, version, [netId], AS_ID)
    devices.add(`fallback ${netId}`, '1.1.0', [netId], AS_ID)
    devices.add(`rejoin ${netId}`, '1.1.0', [netId], AS_ID)
    devices.add(`elsewhere ${netId}`, '1.0.4', ['00dead'], AS_ID)
    devices.add(`roaming ${netId}`, '1.0.4', ['000024', netId], AS_ID)
    devices.add(`own 1.0.4 ${netId}`, '1.0.4', [netId], 'network')
    devices.add(`own 1.1.0 ${netId}`, '1.1.0', [netId], 'network')
  }
  await devices.enrol(installation)
  server = await installation.serve()
}, 240_000)
afterAll(async () => {
  for (const inbox of inboxes.values()) await inbox[Symbol.asyncDispose]()
  await installation[Symbol.asyncDispose]()
})

async function letIn({ dialect, netId, answers, kek }: TestNetwork): Promise<void> {
  const options = ['--dialect', dialect]
  if (speaks11(dialect)) options.push('--ns-id', NS_ID, '--protocol', '1.1')
  if (answers === 'async') {
    const inbox = await listen(installation)
    inboxes.set(netId, inbox)
    options.push('--async-url', inbox.url)
  }
  directories.set(netId, await addPeer(installation, 'ns', netId, options))
  if (kek !== undefined) nsKeks.set(netId, await setKek(installation, 'ns', netId, 'network', kek))
}

function speaks11(dialect: DialectName): boolean {
  return dialectOf(dialect).protocolVersions.includes('1.1')
}

describe.each(NETWORKS)('a network of $dialect, $netId, $answers, KEK of $kek bytes', ({ dialect, netId }) => {
  function connect(): NetworkServer {
    const protocolVersion = speaks11(dialect) ? '1.1' : '1.0'
    const tls = tlsOf(directories.get(netId) ?? '')
    const nsKek = nsKeks.get(netId)
    return new NetworkServer({
      netId: parseNetId(netId),
      protocolVersion,
      nsId: protocolVersion === '1.1' ? NS_ID : undefined,
      connect: (onExchange) =>
        createClient({
          ...{ url: server.biUrl, ...tls, timeoutMs: 10_000 },
          ...{ style: dialectOf(dialect).asks, onExchange, inbox: inboxes.get(netId) },
        }),
      keks: new Map(nsKek && [['network', nsKek]]),
    })
  }

  test.each(VERSIONS)(
    'activates a device of LoRaWAN %s whose payloads its owner alone can read',
    async (macVersion) => {
      const device = devices.get(`${macVersion} ${netId}`)
      await using operator = connect()
      for (let join = 0; join < 2; join++) {
        const { appSKey, sessionKeyId } = await joinDevice(operator, device)
        expect(sessionKeyId).toBeDefined()
        expect(appSKey?.kekLabel).toBe('doors')
        const uplink = await device.uplink({ fPort: 7, payload: Buffer.from('door open') })
        operator.receiveUplink(uplink)
        expect(decrypt(uplink, unwrapKeyEnvelope(appSKey!, asKek))).toBe('door open')
      }
    },
  )

  test('activates a 1.1 device as one of 1.0 when it speaks no 1.1 itself', async () => {
    const device = devices.get(`fallback ${netId}`)
    await using operator = connect()
    const { phyPayload } = await operator.activate(await device.joinRequest(), { macVersion: '1.0.3', optNeg: false })
    await device.handleJoinAccept(phyPayload)
    operator.receiveUplink(await device.uplink({ fPort: 7, payload: Buffer.from('door open') }))
  })

  test('answers rejoins of types 0, 1 and 2, a repeated one of type 1 not', async () => {
    const device = devices.get(`rejoin ${netId}`)
    await using operator = connect()
    await joinDevice(operator, device)
    operator.receiveUplink(await device.uplink({ fPort: 7, payload: Buffer.from('door open') }))
    let used: Uint8Array | undefined
    for (const rejoinType of [0, 1, 2, 1, 0] as const) {
      const request = await device.rejoinRequest(rejoinType)
      const { phyPayload, appSKey } = await operator.rejoin(request)
      await device.handleJoinAccept(phyPayload)
      const uplink = await device.uplink({ fPort: 7, payload: Buffer.from(`rejoined ${rejoinType}`) })
      operator.receiveUplink(uplink)
      expect(decrypt(uplink, unwrapKeyEnvelope(appSKey!, asKek))).toBe(`rejoined ${rejoinType}`)
      if (rejoinType === 1) used = request
    }
    await expect(operator.rejoin(used!)).rejects.toMatchObject({ code: 'join_refused' })
  })

  test('can read the payloads of a device whose owner says so, and of no other', async () => {
    await using operator = connect()
    for (const macVersion of ['1.0.4', '1.1.0'] as const) {
      const device = devices.get(`own ${macVersion} ${netId}`)
      const nsKek = nsKeks.get(netId)
      const { appSKey, sessionKeyId } = await joinDevice(operator, device)
      const { ownAppSKey, sessionKeyIdBesideOwnAppSKey } = dialectOf(dialect)
      const wrapped = nsKek !== undefined && ownAppSKey === 'wrapped'
      expect(appSKey?.kekLabel).toBe(wrapped ? 'network' : undefined)
      expect(sessionKeyId !== undefined).toBe(sessionKeyIdBesideOwnAppSKey)
      const key = wrapped ? unwrapKeyEnvelope(appSKey!, nsKek) : appSKey!.aesKey
      expect(decrypt(await device.uplink({ fPort: 7, payload: Buffer.from('door open') }), key)).toBe('door open')
    }
  })

  test('is refused with a code that it can read, and told why', async () => {
    await using operator = connect()
    await expect(joinDevice(operator, devices.get(`elsewhere ${netId}`))).rejects.toMatchObject({
      code: 'join_refused',
      resultCode: 'NoRoamingAgreement',
    })
    const frame = await devices.get(`1.0.4 ${netId}`).joinRequest()
    await operator.activate(frame, { macVersion: '1.0.4' })
    await expect(operator.activate(frame, { macVersion: '1.0.4' })).rejects.toMatchObject({
      resultCode: speaks11(dialect) ? 'FrameReplayed' : 'JoinReqFailed',
    })
  })

  test('learns the home of a device only under a roaming agreement, and nothing of which devices there are', async () => {
    const { joinEui, devEui } = devices.get(`roaming ${netId}`).identity
    await using operator = connect()
    const strange = parseDevEui(randomBytes(8).toString('hex'))
    await expect(operator.homeNs(joinEui, devEui)).rejects.toMatchObject({ resultCode: 'NoRoamingAgreement' })
    await expect(operator.homeNs(joinEui, strange)).rejects.toMatchObject({ resultCode: 'NoRoamingAgreement' })
    await installation.mortise('peer', 'agreement', 'add', '--ns', netId, '--join-eui', `${joinEui}/64`)
    expect((await operator.homeNs(joinEui, devEui)).hNetId).toBe('000024')
    await expect(operator.homeNs(joinEui, strange)).rejects.toMatchObject({ resultCode: 'UnknownDevEUI' })
    await installation.mortise('peer', 'agreement', 'remove', '--ns', netId, '--join-eui', `${joinEui}/64`)
    await expect(operator.homeNs(joinEui, devEui)).rejects.toMatchObject({ resultCode: 'NoRoamingAgreement' })
  })
})

/** Where a network server takes its answers. */
async function listen(installation: Installation): Promise<AnswerListener> {
  return await AnswerListener.listen({ host: '127.0.0.1', port: 0, ...(await issueListenerTls(installation)) })
}

function decrypt(uplink: Uint8Array, appSKey: Uint8Array): string {
  const { devAddr, fCnt, frmPayload } = decodeDataFrame(uplink)
  return Buffer.from(cryptFrmPayload(createBlockCipher(appSKey), 'up', devAddr, fCnt, frmPayload)).toString()
}
