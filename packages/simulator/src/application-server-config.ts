import { readFile } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'
import { KekRing } from '@mortise/application-server'
import { type BackendInterfacesClient, createClient, isProtocolVersion } from '@mortise/backend-interfaces'
import { readKeyFile, readSecretFile } from './key-file.ts'
import { Members, MembersError } from './members.ts'

export interface ApplicationServerConfig {
  readonly asId: string
  readonly protocolVersion: '1.0' | '1.1'
  readonly joinServer: BackendInterfacesClient
  readonly kekRing: KekRing
}

const DEFAULT_TIMEOUT_MS = 5000

/**
 * Reads a configuration file: `{"asId", "protocolVersion": "1.0"|"1.1", "url", "caFile", "certFile", "keyFile",
 * "timeoutMs"?, "keks": [{"label", "keyFile"}]}`. File names are relative to the directory of the configuration.
 * @throws {MembersError} a member that is missing or malformed
 * @throws {KeyFileError} a key file that others may read, or without a key
 * @throws {ApplicationServerError} as {@link KekRing.add}
 */
export async function readApplicationServerConfig(path: string): Promise<ApplicationServerConfig> {
  const members = Members.parse(await readFile(path, 'utf8'))
  const fileOf = (owner: Members, name: string) => resolve(dirname(path), owner.text(name))
  const protocolVersion = members.text('protocolVersion')
  if (!isProtocolVersion(protocolVersion)) {
    throw new MembersError('member_malformed', 'protocolVersion must be "1.0" or "1.1".')
  }
  const kekRing = new KekRing()
  for (const kek of members.objects('keks')) {
    kekRing.add(kek.text('label'), await readKeyFile(fileOf(kek, 'keyFile')))
  }
  const joinServer = createClient({
    url: members.text('url'),
    ca: await readFile(fileOf(members, 'caFile')),
    cert: await readFile(fileOf(members, 'certFile')),
    key: await readSecretFile(fileOf(members, 'keyFile')),
    timeoutMs: members.has('timeoutMs') ? members.number('timeoutMs') : DEFAULT_TIMEOUT_MS,
  })
  return { asId: members.text('asId'), protocolVersion, joinServer, kekRing }
}
