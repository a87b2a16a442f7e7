import { type DevAddr, devAddrFromBytes, type NetId } from '@mortise/lorawan'

/** NwkID bits of a DevAddr by NetID type 0 to 7 (TS002 1.0 §13.1, LoRaWAN 1.0.4 §6.1.1). */
const NWK_ID_BITS = [6, 6, 9, 11, 12, 13, 15, 17] as const

/** The DevAddrs of a NetID: the type as a run of ones, the low bits of the NetID, then NwkAddr, which is free. */
export interface DevAddrBlock {
  /** How many DevAddrs there are. */
  readonly size: number
  /** The DevAddr of a NwkAddr below `size`. */
  devAddr(nwkAddr: number): DevAddr
}

export function devAddrBlock(netId: NetId): DevAddrBlock {
  const value = Number.parseInt(netId, 16)
  const type = value >>> 21
  // The prefix is `type` ones and a zero.
  const prefixBits = type + 1
  const prefix = 2 ** prefixBits - 2
  const nwkIdBits = NWK_ID_BITS[type] ?? 0
  const size = 2 ** (32 - prefixBits - nwkIdBits)
  const base = (prefix * 2 ** nwkIdBits + (value % 2 ** nwkIdBits)) * size
  return {
    size,
    devAddr(nwkAddr) {
      const bytes = new Uint8Array(4)
      new DataView(bytes.buffer).setUint32(0, base + nwkAddr)
      return devAddrFromBytes(bytes)
    },
  }
}
