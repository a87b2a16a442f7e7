import type { DevAddr, DevEui, NetId } from '@mortise/lorawan'
import { type DevAddrBlock, devAddrBlock } from './dev-addr.ts'
import { NetworkServerError } from './network-server-error.ts'
import type { NetworkSession } from './network-session.ts'

/** How a session begins; its counters are nobody's choice. */
export type NetworkSessionStart = Pick<
  NetworkSession,
  'devEui' | 'joinEui' | 'devAddr' | 'keys' | 'sessionKeyId' | 'appSKey'
>

/** The sessions of one network and its DevAddrs. */
export class NetworkSessions {
  readonly #block: DevAddrBlock
  readonly #byDevAddr = new Map<DevAddr, NetworkSession>()
  /** At most two of a device: the one that was heard last, and one of a join since. */
  readonly #byDevEui = new Map<DevEui, NetworkSession[]>()
  /** DevAddrs of requests that are at the join server. */
  readonly #reserved = new Set<DevAddr>()
  #lastNwkAddr = 0

  constructor(netId: NetId) {
    this.#block = devAddrBlock(netId)
  }

  /** A DevAddr that no session has, until it is released. @throws {NetworkServerError} `dev_addr_exhausted` */
  reserveDevAddr(): DevAddr {
    for (let tried = 0; tried < this.#block.size; tried++) {
      this.#lastNwkAddr = (this.#lastNwkAddr + 1) % this.#block.size
      const devAddr = this.#block.devAddr(this.#lastNwkAddr)
      if (this.#byDevAddr.has(devAddr) || this.#reserved.has(devAddr)) continue
      this.#reserved.add(devAddr)
      return devAddr
    }
    throw new NetworkServerError('dev_addr_exhausted', 'Every DevAddr of this NetID is in use.')
  }

  release(devAddr: DevAddr): void {
    this.#reserved.delete(devAddr)
  }

  /** The session before lives on; one that was never heard ends. */
  begin(start: NetworkSessionStart): void {
    const counters = {
      lastFCntUp: undefined,
      nextNFCntDown: 0,
      nextAFCntDown: 0,
      dueAck: undefined,
      lastConfirmedFCntDown: undefined,
      lastRjCount0: undefined,
    }
    const session: NetworkSession = { ...start, ...counters }
    this.#end(session.devEui, (other) => !wasHeard(other))
    this.#byDevAddr.set(session.devAddr, session)
    this.#byDevEui.set(session.devEui, [...(this.#byDevEui.get(session.devEui) ?? []), session])
  }

  withDevAddr(devAddr: DevAddr): NetworkSession | undefined {
    return this.#byDevAddr.get(devAddr)
  }

  /** The session that was heard, and the one begun since. */
  of(devEui: DevEui): readonly NetworkSession[] {
    return this.#byDevEui.get(devEui) ?? []
  }

  /** The device sent in this session, so that its others are over. */
  heard(session: NetworkSession): void {
    this.#end(session.devEui, (other) => other !== session)
  }

  #end(devEui: DevEui, isOver: (session: NetworkSession) => boolean): void {
    const sessions = this.of(devEui)
    for (const { devAddr } of sessions.filter(isOver)) this.#byDevAddr.delete(devAddr)
    this.#byDevEui.set(
      devEui,
      sessions.filter((session) => !isOver(session)),
    )
  }
}

/** An uplink proves that the device is in this session, and so does a rejoin-request under its key. */
function wasHeard({ lastFCntUp, lastRjCount0 }: NetworkSession): boolean {
  return lastFCntUp !== undefined || lastRjCount0 !== undefined
}
