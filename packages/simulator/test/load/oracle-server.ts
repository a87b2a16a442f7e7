import { dialectOf, encodeFailure, encodeJoinAns, parseJoinReq, parseMessage } from '@mortise/backend-interfaces'
import { loadDevEui, type LoadFleet } from '../../src/index.ts'
import { fleetOf, oracleAnswer } from './fleet.ts'

export const SIZE = 40
const STANDARD = dialectOf('standard-1.0')

/** A join server of the oracle's making, which can be told to lie. */
export class OracleServer {
  readonly fleet: LoadFleet
  readonly joinNonces = new Map<string, number>()
  joins = 0
  lie: 'none' | 'network key' | 'old JoinNonce' | 'constant' = 'none'
  /** Refuses the first frame of each device. */
  refusesFirst = false
  #constant: string | undefined

  constructor(macVersion: '1.0.4' | '1.1.0') {
    this.fleet = fleetOf(macVersion, SIZE)
  }

  answer(body: Buffer): string {
    this.joins += 1
    const message = parseMessage(body, STANDARD)
    if (message.kind !== 'message') throw new Error(message.kind)
    const { header, devEui, devAddr, phyPayload } = parseJoinReq(message.header, message.members)
    const index = Array.from({ length: SIZE }, (_, index) => loadDevEui(this.fleet, index)).indexOf(devEui)
    if (this.refusesFirst && !this.joinNonces.has(devEui)) {
      this.joinNonces.set(devEui, 0)
      return encodeFailure(header, 'Other', 'busy', STANDARD)
    }
    const joinNonce = this.lie === 'old JoinNonce' ? 1 : (this.joinNonces.get(devEui) ?? 0) + 1
    this.joinNonces.set(devEui, joinNonce)
    const devNonce = Buffer.from(phyPayload).readUInt16LE(17)
    const keys = oracleAnswer(this.fleet, { index, devNonce, joinNonce, devAddr, netId: header.senderId })
    const envelope = (name: string) => ({ aesKey: Buffer.from(keys.networkKeys[name] ?? '', 'hex') })
    const lying = this.lie === 'network key' ? { aesKey: Buffer.alloc(16) } : undefined
    const networkKeys =
      this.fleet.nwkKeys.length > 0
        ? {
            fNwkSIntKey: lying ?? envelope('FNwkSIntKey'),
            sNwkSIntKey: envelope('SNwkSIntKey'),
            nwkSEncKey: envelope('NwkSEncKey'),
          }
        : { nwkSKey: lying ?? envelope('NwkSKey') }
    const text = encodeJoinAns(
      header,
      {
        phyPayload: Buffer.from(keys.phyPayload, 'hex'),
        networkKeys,
        appSKey: { kekLabel: 'as-1', aesKey: Buffer.from(keys.appSKey, 'hex') },
        sessionKeyId: Buffer.of(1),
        lifetime: 0,
      },
      STANDARD,
    )
    this.#constant ??= text
    return this.lie === 'constant' ? this.#constant : text
  }
}
