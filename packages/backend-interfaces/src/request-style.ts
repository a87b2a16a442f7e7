import type { HexCase } from './hex-case.ts'

/** The members before those of the message. One that a style does not name is not sent. */
export type HeaderMember =
  | 'ProtocolVersion'
  | 'TransactionID'
  | 'MessageType'
  | 'SenderID'
  | 'SenderNSID'
  | 'ReceiverID'
  | 'VSExtension'

/** How a kind of network server writes its requests and sends them. What it says is not part of this. */
export interface RequestStyle {
  /** In this order. */
  readonly header: readonly HeaderMember[]
  readonly hexCase: HexCase
  /** What stands before the NetID in SenderID. */
  readonly netIdPrefix: '' | '0x'
  /** In version 1.1: the NSID, or "" whatever it is. Version 1.0 has none. */
  readonly senderNsId: 'own' | 'empty'
  /** `short` leaves the patch level of 1.0.0 and 1.1.0 out. */
  readonly macVersion: 'long' | 'short'
  readonly transactionId: 'random' | 'zero'
  /** What follows the object. */
  readonly end: '' | '\n'
  readonly httpHeaders: Readonly<Record<string, string>>
  /** `one-per-request` leaves every connection open behind it for a while. */
  readonly connections: 'kept' | 'one-per-request'
}

const JSON_BODY = { 'content-type': 'application/json' }

/** TS002 as it is written. */
export const STANDARD_STYLE: RequestStyle = {
  header: ['ProtocolVersion', 'MessageType', 'SenderID', 'SenderNSID', 'ReceiverID', 'TransactionID'],
  hexCase: 'lower',
  netIdPrefix: '',
  senderNsId: 'own',
  macVersion: 'long',
  transactionId: 'random',
  end: '',
  httpHeaders: JSON_BODY,
  connections: 'kept',
}

/** As ChirpStack 4.20 was seen to ask. It knows no NSID. */
export const CHIRPSTACK_4_STYLE: RequestStyle = {
  ...STANDARD_STYLE,
  header: ['ProtocolVersion', 'SenderID', 'ReceiverID', 'TransactionID', 'MessageType'],
  httpHeaders: { ...JSON_BODY, accept: '*/*' },
}

/** As the network server of ChirpStack 3 asks (brocaar/lorawan, backend): the same, with an empty VSExtension. */
export const CHIRPSTACK_3_STYLE: RequestStyle = {
  ...STANDARD_STYLE,
  header: [...CHIRPSTACK_4_STYLE.header, 'VSExtension'],
}

/** As The Things Stack 3.32 was seen to ask. */
export const THE_THINGS_STACK_STYLE: RequestStyle = {
  ...STANDARD_STYLE,
  header: ['ProtocolVersion', 'TransactionID', 'MessageType', 'SenderID', 'SenderNSID', 'ReceiverID'],
  hexCase: 'upper',
  macVersion: 'short',
  transactionId: 'zero',
  end: '\n',
  httpHeaders: { ...JSON_BODY, 'user-agent': 'TheThingsStack/3.32.1 (linux/amd64)', 'accept-encoding': 'zstd,gzip' },
  connections: 'one-per-request',
}

/** As the packet router of Helium asks (helium/helium-packet-router, #69 and later). */
export const HELIUM_STYLE: RequestStyle = {
  ...STANDARD_STYLE,
  hexCase: 'upper',
  netIdPrefix: '0x',
  senderNsId: 'empty',
}
