import type { HomeNsOutcome, HomeNsReq } from '@mortise/backend-interfaces'
import { decodeDeviceRecord } from '@mortise/hsm'
import type { NsId } from '@mortise/lorawan'
import type { Agreements, NetworkServer } from '../identity/index.ts'
import type { JoinReader } from '../storage/index.ts'
import { JoinError, joinErrorOf } from './errors.ts'

export interface FindHomeNetworkDependencies {
  readonly joins: JoinReader
  /** Who may learn the home of which device, which need not exist. */
  readonly agreements: Pick<Agreements, 'allows'>
  /** NSID of the network server with this NetID, as far as it is known. */
  readonly nsIdOf: (netId: string) => NsId | undefined
}

export type FindHomeNetwork = (peer: NetworkServer, request: HomeNsReq) => HomeNsOutcome

/**
 * Answers a HomeNSReq: the first network that the owner allows is the home. A HomeNSReq carries no frame that would prove
 * a radio, so that it could be used to find out which devices exist: who has no roaming agreement for a device is
 * refused before anything about the device is looked up.
 * @throws JoinError roaming_agreement_missing, device_unknown, device_not_activated
 */
export function createFindHomeNetwork(dependencies: FindHomeNetworkDependencies): FindHomeNetwork {
  const { joins, agreements, nsIdOf } = dependencies
  return function findHomeNetwork(peer, request) {
    const joinEui = request.header.receiverId
    if (!agreements.allows(peer.id, request.devEui, joinEui)) throw new JoinError('roaming_agreement_missing')
    try {
      const [keySet] = joins.findKeySets(joinEui, request.devEui)
      if (keySet === undefined) throw new JoinError('device_unknown')
      const [home] = decodeDeviceRecord(keySet.record).networks
      if (home === undefined) throw new JoinError('device_not_activated')
      return { hNetId: home, hNsId: nsIdOf(home) }
    } catch (error) {
      throw joinErrorOf(error)
    }
  }
}
