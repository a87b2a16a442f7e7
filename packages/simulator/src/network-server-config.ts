import { readFile } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'
import { createClient, isProtocolVersion } from '@mortise/backend-interfaces'
import { parseNetId, parseNsId } from '@mortise/lorawan'
import { readKeyFile, readSecretFile } from './key-file.ts'
import { Members, MembersError } from './members.ts'
import type { NetworkServerOptions } from './network-server.ts'

const DEFAULT_TIMEOUT_MS = 5000

/**
 * Reads a configuration file: `{"netId", "protocolVersion": "1.0"|"1.1", "nsId"?, "url", "caFile", "certFile",
 * "keyFile", "timeoutMs"?, "keks"?: [{"label", "keyFile"}]}`. File names are relative to the directory of the
 * configuration.
 * @throws {MembersError} a member that is missing or malformed
 * @throws {KeyFileError} a key file that others may read, or without a key
 */
export async function readNetworkServerConfig(path: string): Promise<NetworkServerOptions> {
  const members = Members.parse(await readFile(path, 'utf8'))
  const fileOf = (owner: Members, name: string) => resolve(dirname(path), owner.text(name))
  const protocolVersion = members.text('protocolVersion')
  if (!isProtocolVersion(protocolVersion)) {
    throw new MembersError('member_malformed', 'protocolVersion must be "1.0" or "1.1".')
  }
  const keks = new Map<string, Uint8Array>()
  for (const kek of members.objects('keks')) keks.set(kek.text('label'), await readKeyFile(fileOf(kek, 'keyFile')))
  const connection = {
    url: members.text('url'),
    ca: await readFile(fileOf(members, 'caFile')),
    cert: await readFile(fileOf(members, 'certFile')),
    key: await readSecretFile(fileOf(members, 'keyFile')),
    timeoutMs: members.has('timeoutMs') ? members.number('timeoutMs') : DEFAULT_TIMEOUT_MS,
  }
  return {
    netId: parseNetId(members.text('netId')),
    nsId: members.has('nsId') ? parseNsId(members.text('nsId')) : undefined,
    protocolVersion,
    connect: (onExchange) => createClient({ ...connection, onExchange }),
    keks,
  }
}
