import {
  type Dialect,
  dialectOf,
  type JoinReq,
  type ParsedMessage,
  parseJoinReq,
  parseMessage,
  parseRejoinReq,
  type RejoinReq,
} from '@mortise/backend-interfaces'

/** What everybody gets of whom nothing better is known. */
export const STANDARD = dialectOf('standard-1.0')

export type Message = Record<string, unknown>

/** A JoinReq as ChirpStack 4.20 sent it for a 1.0.3 device. */
export const JOIN_REQ: Readonly<Message> = {
  ProtocolVersion: '1.0',
  SenderID: '000013',
  ReceiverID: '70b3d57ed0000000',
  TransactionID: 988596437,
  MessageType: 'JoinReq',
  MACVersion: '1.0.3',
  PHYPayload: '00000000d07ed5b370de55e897c8d148290100bbcc0b96',
  DevEUI: '2948d1c897e855de',
  DevAddr: '264e6866',
  DLSettings: '12',
  RxDelay: 3,
  CFList: '184f84e85684b85e84886684586e8400',
}

/** An AppSKeyReq as the application server of The Things Stack 3.32 sent it. */
export const APP_S_KEY_REQ: Readonly<Message> = {
  ProtocolVersion: '1.1',
  TransactionID: 0,
  MessageType: 'AppSKeyReq',
  SenderID: 'as.test',
  ReceiverID: '70B3D57ED0000000',
  DevEUI: 'A289E3CE5260F853',
  SessionKeyID: '5260F8530000010001',
}

/** A RejoinReq of type 0 as the network server of ChirpStack 3 makes it. */
export const REJOIN_REQ: Readonly<Message> = {
  ProtocolVersion: '1.0',
  SenderID: '030201',
  ReceiverID: '0807060504030201',
  TransactionID: 1234,
  MessageType: 'RejoinReq',
  VSExtension: {},
  MACVersion: '1.1.0',
  PHYPayload: 'c00001020308070605040302017b00dad3e7ee',
  DevEUI: '0102030405060708',
  DevAddr: '01020304',
  DLSettings: 'a3',
  RxDelay: 1,
  CFList: '184f84e85684b85e8400000000000000',
}

/** A HomeNSReq as ChirpStack 4.20 sent it. */
export const HOME_NS_REQ: Readonly<Message> = {
  ProtocolVersion: '1.0',
  SenderID: '000013',
  ReceiverID: '70b3d57ed0000000',
  TransactionID: 2397412250,
  MessageType: 'HomeNSReq',
  DevEUI: '57cc1544ca653648',
}

export function bytesOf(text: string): Uint8Array {
  return new TextEncoder().encode(text)
}

/** Undefined members are left out, so a row can remove one. */
export function withMembers(message: Readonly<Message>, changes: Message): Message {
  return { ...message, ...changes }
}

export function acceptedMessage(message: unknown, dialect = STANDARD): Extract<ParsedMessage, { kind: 'message' }> {
  return acceptedBody(bytesOf(JSON.stringify(message)), dialect)
}

export function acceptedBody(body: Uint8Array, dialect = STANDARD): Extract<ParsedMessage, { kind: 'message' }> {
  const parsed = parseMessage(body, dialect)
  if (parsed.kind !== 'message') throw new Error(`not accepted: ${JSON.stringify(parsed)}`)
  return parsed
}

export function refusedMessage(body: Uint8Array, dialect = STANDARD): Extract<ParsedMessage, { kind: 'malformed' }> {
  const parsed = parseMessage(body, dialect)
  if (parsed.kind !== 'malformed') throw new Error(`not refused: ${parsed.kind}`)
  return parsed
}

/** The baseline JoinReq with some members changed, through both parsers. */
export function joinReqWith(changes: Message, dialect?: Dialect): JoinReq {
  const { header, members } = acceptedMessage(withMembers(JOIN_REQ, changes), dialect)
  return parseJoinReq(header, members)
}

/** The baseline RejoinReq with some members changed, through both parsers. */
export function rejoinReqWith(changes: Message, dialect?: Dialect): RejoinReq {
  const { header, members } = acceptedMessage(withMembers(REJOIN_REQ, changes), dialect)
  return parseRejoinReq(header, members)
}
