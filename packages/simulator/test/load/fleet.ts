import { is11, type MacVersion, parseDevAddr, parseJoinEui, parseNetId } from '@mortise/lorawan'
import { type AnsweredKeys, loadAcceptParameters, loadDevEui, LoadDevices, type LoadFleet } from '../../src/index.ts'
import { wrap } from '../key-wrap.ts'
import { oracleJoin } from '../oracle.ts'

export const KEK = Buffer.from('a5a4a3a2a1a09f9e9d9c9b9a99989796a5a4a3a2a1a09f9e9d9c9b9a99989796', 'hex')
export const NET_ID = parseNetId('000013')
export const DEV_ADDR = parseDevAddr('26012e43')

/** Two root keys of each kind for more devices than that, as in a real load. */
export function fleetOf(macVersion: MacVersion, size = 5): LoadFleet {
  const pool = (start: number) => [1, 2].map((n) => Buffer.alloc(16, start + n))
  const nwkKeys = is11(macVersion) ? pool(0x80) : []
  return { macVersion, size, joinEui: parseJoinEui('70b3d57ed0000abc'), appKeys: pool(0x10), nwkKeys }
}

export function devicesOf(fleet: LoadFleet): LoadDevices {
  return new LoadDevices(fleet, loadAcceptParameters(NET_ID, fleet.macVersion), KEK)
}

/** The root keys of one device, and who it is. */
export function deviceOf(fleet: LoadFleet, index: number) {
  const appKey = fleet.appKeys[index % 2] ?? new Uint8Array(0)
  const nwkKey = fleet.nwkKeys[index % 2]
  const identity = { devEui: loadDevEui(fleet, index), joinEui: fleet.joinEui, macVersion: fleet.macVersion }
  return { identity, rootKeys: nwkKey === undefined ? { appKey } : { appKey, nwkKey } }
}

export interface JoinToAnswer {
  readonly index: number
  readonly devNonce: number
  readonly joinNonce: number
  readonly devAddr?: string
  readonly netId?: string
  readonly dlSettings?: number
  readonly rxDelay?: number
  readonly cfList?: string
}

/** What a join server by others would answer. */
export function oracleAnswer(fleet: LoadFleet, { index, ...join }: JoinToAnswer): AnsweredKeys {
  const { identity, rootKeys } = deviceOf(fleet, index)
  const { dlSettings, rxDelay, cfList } = loadAcceptParameters(NET_ID, fleet.macVersion)
  const { phyPayload, session } = oracleJoin(identity, rootKeys, {
    ...{ netId: NET_ID, devAddr: DEV_ADDR, dlSettings, rxDelay, cfList: Buffer.from(cfList ?? []).toString('hex') },
    ...join,
  })
  const hex = (key: Uint8Array) => Buffer.from(key).toString('hex')
  const { fNwkSIntKey, sNwkSIntKey, nwkSEncKey } = session
  return {
    phyPayload: hex(phyPayload),
    networkKeys: session.optNeg
      ? { FNwkSIntKey: hex(fNwkSIntKey), SNwkSIntKey: hex(sNwkSIntKey), NwkSEncKey: hex(nwkSEncKey) }
      : { NwkSKey: hex(fNwkSIntKey) },
    appSKey: hex(wrap(KEK, session.appSKey)),
  }
}
