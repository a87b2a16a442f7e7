import type { PeerView } from '@mortise/server'
import { CliError } from '../errors.ts'

/** How a peer is named in commands. */
export const PEER_ARGUMENT = 'NetID, AS-ID or peer id; ns:ID or as:ID where both have it'

/** A peer as people name it: see PEER_ARGUMENT. @throws CliError peer_unknown, peer_ambiguous */
export function findPeer(peers: readonly PeerView[], name: string): PeerView {
  const wanted = name.toLowerCase()
  const found = peers.filter(
    ({ peerId, kind, id }) =>
      peerId === wanted ||
      id === name ||
      `${kind}:${id}` === name ||
      (kind === 'ns' && [id, `ns:${id}`].includes(wanted)),
  )
  const [peer, other] = found
  if (peer === undefined)
    throw new CliError('peer_unknown', `there is no peer ${name}`, { hint: 'see `mortise peer list`' })
  if (other !== undefined)
    throw new CliError('peer_ambiguous', `${name} names more than one peer`, { hint: `say ns:${name} or as:${name}` })
  return peer
}
