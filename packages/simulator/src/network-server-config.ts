import { readFile } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'
import {
  type Authorization,
  createClient,
  type Dialect,
  dialectOf,
  isDialectName,
  isProtocolVersion,
  type ProtocolVersion,
} from '@mortise/backend-interfaces'
import { parseNetId, parseNsId } from '@mortise/lorawan'
import { AnswerListener } from './answer-listener.ts'
import { readKeyFile, readSecretFile } from './key-file.ts'
import { Members, MembersError } from './members.ts'
import type { NetworkServerOptions } from './network-server-options.ts'

const DEFAULT_TIMEOUT_MS = 5000

export interface NetworkServerConfig extends NetworkServerOptions {
  /** Listens already; whoever reads the configuration has to dispose of it. */
  readonly answers: AnswerListener | undefined
}

/**
 * Reads a configuration file: `{"netId", "protocolVersion": "1.0"|"1.1", "nsId"?, "url", "caFile", "certFile",
 * "keyFile", "timeoutMs"?, "keks"?: [{"label", "keyFile"}], "dialect"?, "authorization"?: {"kind": "bearer", "tokenFile"}
 * or {"kind": "basic", "username", "passwordFile"} or {"kind": "header", "name", "valueFile"}, "answers"?: {"host", "port",
 * "caFile", "certFile", "keyFile"}}`. File names are relative to the directory of the configuration. `dialect` says how it
 * asks, `answers` where it takes asynchronous answers.
 * @throws {MembersError} a member that is missing or malformed
 * @throws {KeyFileError} a file of a secret that others may read, or a key file without a key
 */
export async function readNetworkServerConfig(path: string): Promise<NetworkServerConfig> {
  const members = Members.parse(await readFile(path, 'utf8'))
  const fileOf: FileOf = (owner, name) => resolve(dirname(path), owner.text(name))
  const { asks, ...dialect } = readDialect(members)
  const protocolVersion = readProtocolVersion(members, dialect)
  const keks = new Map<string, Uint8Array>()
  for (const kek of members.objects('keks')) keks.set(kek.text('label'), await readKeyFile(fileOf(kek, 'keyFile')))
  const connection = {
    ...(await readTls(members, fileOf)),
    url: members.text('url'),
    timeoutMs: members.has('timeoutMs') ? members.number('timeoutMs') : DEFAULT_TIMEOUT_MS,
    authorization: await readAuthorization(members, fileOf),
    style: asks,
  }
  const answers = members.has('answers') ? await listen(members.object('answers'), fileOf) : undefined
  return {
    netId: parseNetId(members.text('netId')),
    nsId: members.has('nsId') ? parseNsId(members.text('nsId')) : undefined,
    protocolVersion,
    connect: (onExchange) => createClient({ ...connection, onExchange, inbox: answers }),
    keks,
    answers,
  }
}

type FileOf = (owner: Members, name: string) => string

function readDialect(members: Members): Dialect {
  if (!members.has('dialect')) return dialectOf('standard-1.0')
  const name = members.text('dialect')
  if (isDialectName(name)) return dialectOf(name)
  throw new MembersError('member_malformed', 'dialect must be one that is known.')
}

function readProtocolVersion(
  members: Members,
  { protocolVersions }: Pick<Dialect, 'protocolVersions'>,
): ProtocolVersion {
  const version = members.text('protocolVersion')
  if (isProtocolVersion(version) && protocolVersions.includes(version)) return version
  const known = protocolVersions.map((one) => `"${one}"`).join(' or ')
  throw new MembersError('member_malformed', `protocolVersion must be ${known}.`)
}

async function readTls(members: Members, fileOf: FileOf): Promise<{ ca: Buffer; cert: Buffer; key: Buffer }> {
  return {
    ca: await readFile(fileOf(members, 'caFile')),
    cert: await readFile(fileOf(members, 'certFile')),
    key: await readSecretFile(fileOf(members, 'keyFile')),
  }
}

async function readAuthorization(members: Members, fileOf: FileOf): Promise<Authorization | undefined> {
  if (!members.has('authorization')) return undefined
  const authorization = members.object('authorization')
  const secret = async (name: string) => (await readSecretFile(fileOf(authorization, name))).toString().trim()
  const kind = authorization.text('kind')
  switch (kind) {
    case 'bearer':
      return { kind, token: await secret('tokenFile') }
    case 'basic':
      return { kind, username: authorization.text('username'), password: await secret('passwordFile') }
    case 'header':
      return { kind, name: authorization.text('name'), value: await secret('valueFile') }
    default:
      throw new MembersError('member_malformed', 'kind must be bearer, basic or header.')
  }
}

async function listen(members: Members, fileOf: FileOf): Promise<AnswerListener> {
  const tls = await readTls(members, fileOf)
  return await AnswerListener.listen({ ...tls, host: members.text('host'), port: members.number('port') })
}
