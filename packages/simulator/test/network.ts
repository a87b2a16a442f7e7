import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  type BackendInterfacesClient,
  type ClientOptions,
  createClient,
  encodeFailure,
  encodeJoinAns,
  type FailureCode,
  type NetworkSessionKeys,
  parseJoinReq,
  parseMessage,
} from '@mortise/backend-interfaces'
import type { DeviceIdentity, RootKeys } from '../src/index.ts'
import { makeCertificates } from './certificates.ts'
import { startJoinServer, type TestJoinServer } from './join-server.ts'
import { wrap } from './key-wrap.ts'
import { type OracleSession, oracleJoin } from './oracle.ts'

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
  connect(onExchange: NonNullable<ClientOptions['onExchange']>): BackendInterfacesClient
}

export async function startOracleNetwork(): Promise<OracleNetwork> {
  const dir = await mkdtemp(join(tmpdir(), 'mortise-network-'))
  await makeCertificates(dir)
  const devices = new Map<string, { identity: DeviceIdentity; rootKeys: RootKeys }>()
  const sessions: OracleSession[] = []
  const requests: Record<string, unknown>[] = []
  let mode: Parameters<OracleNetwork['answerWith']>[0] = 'clear'
  let joinNonce = 0

  const joinServer = await startJoinServer(dir, (body) => {
    requests.push(JSON.parse(body.toString()) as Record<string, unknown>)
    const message = parseMessage(body)
    if (message.kind !== 'message') throw new Error(message.kind)
    const { header, phyPayload, devEui, devAddr, dlSettings, rxDelay, cfList } = parseJoinReq(
      message.header,
      message.members,
    )
    if (mode !== 'clear' && mode !== 'wrapped' && mode !== 'other-version') return encodeFailure(header, mode, 'no')
    const device = devices.get(devEui)
    if (device === undefined) return encodeFailure(header, 'UnknownDevEUI', 'no such device')
    const accept = oracleJoin(device.identity, device.rootKeys, {
      devNonce: Buffer.from(phyPayload).readUInt16LE(17),
      joinNonce: ++joinNonce,
      netId: header.senderId,
      devAddr,
      dlSettings,
      rxDelay,
      ...(cfList && { cfList: Buffer.from(cfList).toString('hex') }),
    })
    sessions.push(accept.session)
    return encodeJoinAns(header, {
      phyPayload: accept.phyPayload,
      networkKeys: networkKeys(accept.session, mode),
      appSKey: { kekLabel: 'as-1', aesKey: wrap(AS_KEK, accept.session.appSKey) },
      sessionKeyId: Buffer.of(0x51, joinNonce),
      lifetime: 0,
    })
  })

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
    connect: (onExchange) => createClient({ ...credentials, url: joinServer.url, timeoutMs: 5000, onExchange }),
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
export async function writeNetworkServerConfig(network: OracleNetwork, name: string, netId: string): Promise<string> {
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
    }),
  )
  return path
}
