import type { DevicePolicy } from '@mortise/hsm'
import type { Administration } from '@mortise/server'
import { usageError } from '../errors.ts'

export const NETWORK_ITSELF = 'network'

/** `--as network`: the network itself is the application server, and the only one. */
export function applicationServersOf(
  as: readonly string[],
): Pick<DevicePolicy, 'applicationServers' | 'networkIsApplicationServer'> {
  if (!as.includes(NETWORK_ITSELF)) return { applicationServers: as, networkIsApplicationServer: false }
  if (as.length > 1) throw usageError(`--as ${NETWORK_ITSELF} stands alone`)
  return { applicationServers: [], networkIsApplicationServer: true }
}

type Lists = Pick<Administration, 'status' | 'listPeers' | 'listKeks'>

/**
 * What a device's recipients still lack, a sentence each; ask before the order is submitted. Nothing while orders wait:
 * they may bring what is not seen yet.
 */
export async function missingRecipients(
  administration: Lists,
  { applicationServers = [], networks = [] }: Partial<DevicePolicy>,
): Promise<string[]> {
  if (applicationServers.length + networks.length === 0) return []
  if ((await administration.status()).waitingOrders > 0) return []
  const peers = await administration.listPeers()
  const keks = await administration.listKeks()
  const withoutKek = applicationServers.filter(
    (asId) => !keks.some(({ kind, recipient }) => kind === 'as' && recipient === asId),
  )
  return [
    ...networks.flatMap((netId) => missingPeer(peers, 'ns', netId)),
    ...applicationServers.flatMap((asId) => missingPeer(peers, 'as', asId)),
    ...withoutKek.map((asId) => `${asId} has no KEK: joins will be refused until: mortise kek set --as ${asId} …`),
  ]
}

/** Whether the recipient of a KEK is a peer yet, as a sentence where it is not. */
export async function missingKekRecipient(
  administration: Lists,
  kind: 'ns' | 'as',
  recipient: string,
): Promise<string[]> {
  if ((await administration.status()).waitingOrders > 0) return []
  return missingPeer(await administration.listPeers(), kind, recipient)
}

function missingPeer(peers: Awaited<ReturnType<Lists['listPeers']>>, kind: 'ns' | 'as', id: string): string[] {
  if (peers.some((peer) => peer.kind === kind && peer.id === id)) return []
  return [`no peer ${id} yet: let it in with: mortise peer add ${kind} --${kind === 'ns' ? 'net' : 'as'}-id ${id} …`]
}
