import { request as httpsRequest } from 'node:https'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  type BackendInterfacesClient,
  type ClientOptions,
  createClient,
  type DialectName,
  dialectOf,
  encodeFailure,
  encodeHomeNsAns,
  encodeJoinAns,
  type FailureCode,
  type NetworkSessionKeys,
  parseHomeNsReq,
  parseJoinReq,
  parseMessage,
  parseRejoinReq,
} from '@mortise/backend-interfaces'
import { parseNetId, parseNsId } from '@mortise/lorawan'
import type { DeviceIdentity, RootKeys } from '../src/index.ts'
import { makeCertificates } from './certificates.ts'
import { startJoinServer, type TestJoinServer } from './join-server.ts'
import { wrap } from './key-wrap.ts'
import { type OracleSession, oracleJoin } from './oracle.ts'

export const HOME = { hNetId: parseNetId('c00053'), hNsId: parseNsId('70b3d57ed000abcd') }
export const AS_KEK = Buffer.from('a5a4a3a2a1a09f9e9d9c9b9a99989796', 'hex')
export const NS_KEK = Buffer.from('c5c4c3c2c1c0bfbebdbcbbbab9b8b7b6', 'hex')

/**
 * A join server of the oracle's making, reached over mutual TLS. It checks nothing: the tests are about the network
 * server and the device.
 */
export interface OracleNetwork extends AsyncDisposable {
  readonly dir: string
  readonly joinServer: TestJoinServer
  /** The sessions that it began, the last one last. */
  readonly sessions: OracleSession[]
  /** The bodies that it received. */
  readonly requests: Record<string, unknown>[]
  addDevice(identity: DeviceIdentity, rootKeys: RootKeys): void
  /** How it answers from now on. */
  answerWith(mode: 'clear' | 'wrapped' | 'other-version' | FailureCode): void
  /** As what it sees its network server from now on, and where it posts its answers; in the response without a URL. */
  speak(dialect: DialectName, asyncUrl?: string): void
  connect(
    onExchange: NonNullable<ClientOptions['onExchange']>,
    options?: Pick<ClientOptions, 'style' | 'inbox'>,
  ): BackendInterfacesClient
}

export async function startOracleNetwork(): Promise<OracleNetwork> {
  const dir = await mkdtemp(join(tmpdir(), 'mortise-network-'))
  await makeCertificates(dir)
  const devices = new Map<string, { identity: DeviceIdentity; rootKeys: RootKeys }>()
  const sessions: OracleSession[] = []
  const requests: Record<string, unknown>[] = []
  let mode: Parameters<OracleNetwork['answerWith']>[0] = 'clear'
  let joinNonce = 0
  let dialect = dialectOf('standard-1.0')
  let asyncUrl: string | undefined

  function answerTo(body: Buffer): string {
    requests.push(JSON.parse(body.toString()) as Record<string, unknown>)
    const message = parseMessage(body, dialect)
    if (message.kind !== 'message') {
      return encodeFailure(
        message.kind === 'ignored' ? { protocolVersion: '1.0' } : message.header,
        'Malformed',
        'no',
        dialect,
      )
    }
    const { header, members } = message
    if (mode !== 'clear' && mode !== 'wrapped' && mode !== 'other-version') {
      return encodeFailure(header, mode, 'no', dialect)
    }
    if (header.messageType === 'HomeNSReq') {
      const known = devices.has(parseHomeNsReq(header, members).devEui)
      return known ? encodeHomeNsAns(header, HOME, dialect) : encodeFailure(header, 'UnknownDevEUI', 'no', dialect)
    }
    const rejoins = header.messageType === 'RejoinReq'
    const { phyPayload, devEui, devAddr, dlSettings, rxDelay, cfList } = rejoins
      ? parseRejoinReq(header, members)
      : parseJoinReq(header, members)
    const device = devices.get(devEui)
    if (device === undefined) return encodeFailure(header, 'UnknownDevEUI', 'no such device', dialect)
    const accept = oracleJoin(device.identity, device.rootKeys, {
      joinReqType: rejoins ? (phyPayload[1] ?? 0) : 0xff,
      // DevNonce or RJcount: always the two bytes before the MIC.
      devNonce: Buffer.from(phyPayload).readUInt16LE(phyPayload.length - 6),
      joinNonce: ++joinNonce,
      netId: header.senderId,
      devAddr,
      dlSettings,
      rxDelay,
      ...(cfList && { cfList: Buffer.from(cfList).toString('hex') }),
    })
    sessions.push(accept.session)
    const outcome = {
      phyPayload: accept.phyPayload,
      networkKeys: networkKeys(accept.session, mode),
      appSKey: { kekLabel: 'as-1', aesKey: wrap(AS_KEK, accept.session.appSKey) },
      sessionKeyId: Buffer.of(0x51, joinNonce),
      lifetime: 0,
    }
    return encodeJoinAns(header, outcome, dialect)
  }

  const joinServer = await startJoinServer(dir, async (body) => {
    const answer = answerTo(body)
    if (asyncUrl === undefined) return answer
    await post(asyncUrl, answer)
    return ''
  })

  /** The join server as client, by the certificate of one. */
  async function post(url: string, body: string): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      const request = httpsRequest(url, { ...credentials, method: 'POST', agent: false }, (response) => {
        response.resume().on('end', resolve)
      })
      request.on('error', reject).end(body)
    })
  }

  const file = (name: string) => readFile(join(dir, name))
  const credentials = { ca: await file('ca.crt'), cert: await file('client.crt'), key: await file('client.key') }
  return {
    dir,
    joinServer,
    sessions,
    requests,
    addDevice: (identity, rootKeys) => void devices.set(identity.devEui, { identity, rootKeys }),
    answerWith(next) {
      mode = next
    },
    speak(name, url) {
      dialect = dialectOf(name)
      asyncUrl = url
    },
    connect: (onExchange, options) =>
      createClient({ ...credentials, url: joinServer.url, timeoutMs: 5000, onExchange, ...options }),
    async [Symbol.asyncDispose]() {
      await joinServer[Symbol.asyncDispose]()
      await rm(dir, { recursive: true })
    },
  }
}

function networkKeys(session: OracleSession, mode: 'clear' | 'wrapped' | 'other-version'): NetworkSessionKeys {
  const envelope = (key: Buffer) =>
    mode === 'wrapped' ? { kekLabel: 'ns-1', aesKey: wrap(NS_KEK, key) } : { aesKey: key }
  const { optNeg, fNwkSIntKey, sNwkSIntKey, nwkSEncKey } = session
  if (optNeg === (mode === 'other-version')) return { nwkSKey: envelope(fNwkSIntKey) }
  return {
    fNwkSIntKey: envelope(fNwkSIntKey),
    sNwkSIntKey: envelope(sNwkSIntKey),
    nwkSEncKey: envelope(nwkSEncKey),
  }
}

/** Writes a configuration for the network server as a process, and returns its path. */
export async function writeNetworkServerConfig(
  network: OracleNetwork,
  name: string,
  netId: string,
  members: Readonly<Record<string, unknown>> = {},
): Promise<string> {
  const path = join(network.dir, `${name}.json`)
  await writeFile(join(network.dir, 'ns.kek'), `${NS_KEK.toString('hex')}\n`, { mode: 0o600 })
  await writeFile(
    path,
    JSON.stringify({
      netId,
      protocolVersion: '1.0',
      url: network.joinServer.url,
      caFile: 'ca.crt',
      certFile: 'client.crt',
      keyFile: 'client.key',
      keks: [{ label: 'ns-1', keyFile: 'ns.kek' }],
      ...members,
    }),
  )
  return path
}
