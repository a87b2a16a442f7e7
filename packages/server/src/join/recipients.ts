import type { AppSKeyToNetwork, DeviceRecord } from '@mortise/hsm'
import type { NetworkServer } from '../identity/index.ts'
import type { JoinReader, Kek } from '../storage/index.ts'
import type { JoinErrorCode } from './errors.ts'

/** Who gets the keys of one answer, and under which KEKs. */
export interface Recipients {
  readonly nsKek: Kek | undefined
  readonly asKek: Kek | undefined
  readonly appSKeyToNetwork: AppSKeyToNetwork
}

/**
 * The newest KEKs of a network server and of the device's first application server. A device whose record names the
 * network itself gets its AppSKey delivered to that, and to nobody else in the same answer.
 */
export function newestRecipients(joins: JoinReader, peer: NetworkServer, device: DeviceRecord): Recipients {
  const [firstAs] = device.networkIsApplicationServer ? [] : device.applicationServers
  return {
    nsKek: joins.newestKek('ns', peer.id),
    asKek: firstAs === undefined ? undefined : joins.newestKek('as', firstAs),
    appSKeyToNetwork: appSKeyToNetwork(peer, device),
  }
}

/** As the network server can use it; the HSM process holds it against the record once more. */
export function appSKeyToNetwork({ ownAppSKey }: NetworkServer, device: DeviceRecord): AppSKeyToNetwork {
  if (!device.networkIsApplicationServer) return 'no'
  return ownAppSKey === 'clear' ? 'clear' : 'likeNetworkKeys'
}

/** What speaks against these recipients: there is no plaintext fallback. */
export function refuseRecipients(
  peer: NetworkServer,
  device: DeviceRecord,
  { nsKek, asKek }: Recipients,
): JoinErrorCode | undefined {
  const refusal = refuseNetworkKek(peer, nsKek)
  if (refusal !== undefined) return refusal
  if (device.networkIsApplicationServer || device.applicationServers.length === 0) return undefined
  // Without its KEK the AppSKey would have no way to its owner.
  return asKek === undefined ? 'application_kek_missing' : undefined
}

/** What speaks against giving a network server its keys under this KEK, or in clear where there is none. */
export function refuseNetworkKek(peer: NetworkServer, nsKek: Kek | undefined): JoinErrorCode | undefined {
  if (nsKek === undefined) return peer.kekOnly ? 'network_kek_missing' : undefined
  return peer.kekSizes.includes(nsKek.size) ? undefined : 'network_kek_unusable'
}
