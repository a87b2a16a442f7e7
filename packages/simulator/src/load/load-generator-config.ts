import { readFile } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'
import { createSecureContext } from 'node:tls'
import { parseNetId } from '@mortise/lorawan'
import { readKeyFile, readSecretFile } from '../key-file.ts'
import { Members, MembersError } from '../members.ts'
import { loadAcceptParameters } from './accept-parameters.ts'
import { JoinRequests } from './join-requests.ts'
import { JoinSource } from './join-source.ts'
import type { LoadTarget } from './load-connection.ts'
import { ConstantSource } from './constant-source.ts'
import { LoadDevices } from './load-devices.ts'
import { readLoadFleet } from './load-fleet.ts'
import type { LoadSource } from './load-source.ts'

/**
 * Reads a configuration file: `{"host", "port", "caFile", "certFile", "keyFile", "netId", "fleetFile", "kekLabel",
 * "kekFile", "firstDevNonce"?, "expect": "join"|"constant"}`. File names are relative to the directory of the configuration.
 * @throws {MembersError} a member that is missing or malformed
 * @throws {KeyFileError} a key file that others may read, or without a key
 */
export async function readLoadGeneratorConfig(path: string): Promise<{ target: LoadTarget; source: LoadSource }> {
  const members = Members.parse(await readFile(path, 'utf8'))
  const fileOf = (name: string) => resolve(dirname(path), members.text(name))
  const secureContext = createSecureContext({
    ca: await readFile(fileOf('caFile')),
    cert: await readFile(fileOf('certFile')),
    key: await readSecretFile(fileOf('keyFile')),
  })
  const netId = parseNetId(members.text('netId'))
  const fleet = await readLoadFleet(fileOf('fleetFile'))
  const accept = loadAcceptParameters(netId, fleet.macVersion)
  const expect = members.text('expect')
  if (expect !== 'join' && expect !== 'constant')
    throw new MembersError('member_malformed', 'expect must be "join" or "constant".')
  const firstDevNonce = members.has('firstDevNonce') ? members.number('firstDevNonce') : 0
  const devices = new LoadDevices(fleet, accept, await readKeyFile(fileOf('kekFile')), firstDevNonce)
  const source = new JoinSource(new JoinRequests({ devices, netId, accept, kekLabel: members.text('kekLabel') }))
  return {
    target: { host: members.text('host'), port: members.number('port'), secureContext },
    source: expect === 'join' ? source : new ConstantSource(source),
  }
}
