import { IdentifierError } from './errors.ts'
import { bytesToHex, hexToBytes } from './hex.ts'

declare const brand: unique symbol

/** 16 lower-case hexadecimal digits, most significant byte first, as printed on a device. */
export type DevEui = string & { readonly [brand]: 'DevEui' }
/** As DevEui; called AppEUI before LoRaWAN 1.0.4. */
export type JoinEui = string & { readonly [brand]: 'JoinEui' }
/** As DevEui; names a network server in Backend Interfaces 1.1. */
export type NsId = string & { readonly [brand]: 'NsId' }
/** 6 lower-case hexadecimal digits, most significant byte first. */
export type NetId = string & { readonly [brand]: 'NetId' }
/** 8 lower-case hexadecimal digits, most significant byte first. */
export type DevAddr = string & { readonly [brand]: 'DevAddr' }

export type Eui64 = DevEui | JoinEui | NsId

const EUI64_SIZE = 8
const NET_ID_SIZE = 3
const DEV_ADDR_SIZE = 4

const HEX_DIGITS = /^[0-9a-fA-F]*$/

function canonicalHex(name: string, size: number, text: string): string {
  if (text.length !== 2 * size || !HEX_DIGITS.test(text)) {
    throw new IdentifierError('identifier_malformed', `${name} must be ${2 * size} hexadecimal digits`)
  }
  return text.toLowerCase()
}

function hexOfSize(name: string, size: number, bytes: Uint8Array): string {
  if (bytes.length !== size) {
    throw new IdentifierError('identifier_malformed', `${name} must be ${size} bytes, not ${bytes.length}`)
  }
  return bytesToHex(bytes)
}

/** From text of exactly 16 hexadecimal digits in any case. @throws {IdentifierError} `identifier_malformed` */
export function parseDevEui(text: string): DevEui {
  return canonicalHex('DevEUI', EUI64_SIZE, text) as DevEui
}

/** From text of exactly 16 hexadecimal digits in any case. @throws {IdentifierError} `identifier_malformed` */
export function parseJoinEui(text: string): JoinEui {
  return canonicalHex('JoinEUI', EUI64_SIZE, text) as JoinEui
}

/** From text of exactly 16 hexadecimal digits in any case. @throws {IdentifierError} `identifier_malformed` */
export function parseNsId(text: string): NsId {
  return canonicalHex('NSID', EUI64_SIZE, text) as NsId
}

/** From text of exactly 6 hexadecimal digits in any case. @throws {IdentifierError} `identifier_malformed` */
export function parseNetId(text: string): NetId {
  return canonicalHex('NetID', NET_ID_SIZE, text) as NetId
}

/** From text of exactly 8 hexadecimal digits in any case. @throws {IdentifierError} `identifier_malformed` */
export function parseDevAddr(text: string): DevAddr {
  return canonicalHex('DevAddr', DEV_ADDR_SIZE, text) as DevAddr
}

/** 8 bytes, big-endian: the order in which an EUI is displayed. */
export function eui64ToBytes(eui: Eui64): Uint8Array {
  return hexToBytes(eui)
}

/** 8 bytes, little-endian: the order on air and in derivation blocks (LoRaWAN 1.0.3 §1.2, "octet order"). */
export function eui64ToWire(eui: Eui64): Uint8Array {
  return hexToBytes(eui).reverse()
}

/** From 8 big-endian bytes. @throws {IdentifierError} `identifier_malformed` */
export function devEuiFromBytes(bytes: Uint8Array): DevEui {
  return hexOfSize('DevEUI', EUI64_SIZE, bytes) as DevEui
}

/** From 8 little-endian bytes. @throws {IdentifierError} `identifier_malformed` */
export function devEuiFromWire(bytes: Uint8Array): DevEui {
  return devEuiFromBytes(bytes.toReversed())
}

/** From 8 big-endian bytes. @throws {IdentifierError} `identifier_malformed` */
export function joinEuiFromBytes(bytes: Uint8Array): JoinEui {
  return hexOfSize('JoinEUI', EUI64_SIZE, bytes) as JoinEui
}

/** From 8 little-endian bytes. @throws {IdentifierError} `identifier_malformed` */
export function joinEuiFromWire(bytes: Uint8Array): JoinEui {
  return joinEuiFromBytes(bytes.toReversed())
}

/** 3 bytes, big-endian. */
export function netIdToBytes(netId: NetId): Uint8Array {
  return hexToBytes(netId)
}

/** From 3 big-endian bytes. @throws {IdentifierError} `identifier_malformed` */
export function netIdFromBytes(bytes: Uint8Array): NetId {
  return hexOfSize('NetID', NET_ID_SIZE, bytes) as NetId
}

/** 3 bytes, little-endian, as on air. */
export function netIdToWire(netId: NetId): Uint8Array {
  return hexToBytes(netId).reverse()
}

/** From 3 little-endian bytes. @throws {IdentifierError} `identifier_malformed` */
export function netIdFromWire(bytes: Uint8Array): NetId {
  return netIdFromBytes(bytes.toReversed())
}

/** 4 bytes, big-endian. */
export function devAddrToBytes(devAddr: DevAddr): Uint8Array {
  return hexToBytes(devAddr)
}

/** From 4 big-endian bytes. @throws {IdentifierError} `identifier_malformed` */
export function devAddrFromBytes(bytes: Uint8Array): DevAddr {
  return hexOfSize('DevAddr', DEV_ADDR_SIZE, bytes) as DevAddr
}

/** 4 bytes, little-endian, as on air. */
export function devAddrToWire(devAddr: DevAddr): Uint8Array {
  return hexToBytes(devAddr).reverse()
}

/** From 4 little-endian bytes. @throws {IdentifierError} `identifier_malformed` */
export function devAddrFromWire(bytes: Uint8Array): DevAddr {
  return devAddrFromBytes(bytes.toReversed())
}
