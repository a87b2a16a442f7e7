import { readFile } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'
import { createSecureContext } from 'node:tls'
import { parseNetId } from '@mortise/lorawan'
import { readKeyFile, readSecretFile } from '../key-file.ts'
import { Members, MembersError } from '../members.ts'
import { loadAcceptParameters } from './accept-parameters.ts'
import { JoinRequests } from './join-requests.ts'
import { LoadDevices } from './load-devices.ts'
import { type LoadFleet, readLoadFleet } from './load-fleet.ts'
import type { PeerMaker } from './storm.ts'
import { PEER_MANNERS, type PeerKind, StormPeer, type StormPeerOptions } from './storm-peer.ts'

export interface StormConfig {
  readonly fleet: LoadFleet
  readonly shares: readonly number[]
  readonly makers: readonly PeerMaker[]
}

/**
 * Reads a configuration file: `{"host", "port", "fleetFile", "kekLabel", "kekFile", "connections", "newConnections",
 * "peers": [{"netId", "kind": "chirpstack"|"the-things-stack", "share", "localAddress", "caFile", "certFile", "keyFile"}]}`.
 * `connections` are those of one peer; `newConnections` has those of The Things Stack's kind open one for each request.
 * File names are relative to the directory of the configuration.
 * @throws {MembersError} a member that is missing or malformed
 * @throws {KeyFileError} a key file that others may read, or without a key
 */
export async function readStormConfig(path: string): Promise<StormConfig> {
  const members = Members.parse(await readFile(path, 'utf8'))
  const directory = dirname(path)
  const fleet = await readLoadFleet(resolve(directory, members.text('fleetFile')))
  const kek = await readKeyFile(resolve(directory, members.text('kekFile')))
  const peers = members.objects('peers')
  const makers: PeerMaker[] = []
  for (const peer of peers) {
    const options = await readPeer(members, peer, directory, fleet, kek)
    makers.push((settled) => new StormPeer(options, settled))
  }
  return { fleet, shares: peers.map((peer) => peer.number('share')), makers }
}

async function readPeer(
  members: Members,
  peer: Members,
  directory: string,
  fleet: LoadFleet,
  kek: Uint8Array,
): Promise<StormPeerOptions> {
  const fileOf = (name: string) => resolve(directory, peer.text(name))
  const secureContext = createSecureContext({
    ca: await readFile(fileOf('caFile')),
    cert: await readFile(fileOf('certFile')),
    key: await readSecretFile(fileOf('keyFile')),
  })
  const netId = parseNetId(peer.text('netId'))
  const kind = readKind(peer)
  const accept = loadAcceptParameters(netId, fleet.macVersion)
  const kekLabel = members.text('kekLabel')
  return {
    kind,
    target: {
      ...{ host: members.text('host'), port: members.number('port'), secureContext },
      localAddress: peer.text('localAddress'),
    },
    requests: new JoinRequests({ devices: new LoadDevices(fleet, accept, kek), netId, accept, kekLabel }),
    connections: members.number('connections'),
    newConnections: members.flag('newConnections') && kind === 'the-things-stack',
  }
}

function readKind(peer: Members): PeerKind {
  const kind = peer.text('kind')
  if (kind === 'chirpstack' || kind === 'the-things-stack') return kind
  throw new MembersError('member_malformed', `kind must be one of ${Object.keys(PEER_MANNERS).join(', ')}.`)
}
