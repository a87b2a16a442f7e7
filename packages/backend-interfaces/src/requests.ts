import type { DevAddr, DevEui, JoinEui, NetId, NsId } from '@mortise/lorawan'
import { hexOf, inCase } from './hex-case.ts'
import type { RequestType } from './parse-header.ts'
import type { ProtocolVersion } from './protocol-version.ts'
import { type HeaderMember, type RequestStyle, STANDARD_STYLE } from './request-style.ts'

/** What every request of a network server says. */
interface NetworkRequest {
  readonly protocolVersion: ProtocolVersion
  readonly senderId: NetId
  readonly receiverId: JoinEui
  /** Sent with protocol version 1.1 only; 1.0 does not know it. */
  readonly senderNsId?: NsId | undefined
}

/** A JoinReq or RejoinReq to send. */
export interface JoinReqToSend extends NetworkRequest {
  /** As on the wire: "1.0.3", "1.1.0", or with the patch level left out. */
  readonly macVersion: string
  /** The join-request frame, 23 bytes; in a RejoinReq the rejoin-request, 19 or 24. */
  readonly phyPayload: Uint8Array
  readonly devEui: DevEui
  readonly devAddr: DevAddr
  /** One byte. */
  readonly dlSettings: number
  /** 0 to 15. */
  readonly rxDelay: number
  /** 16 bytes. */
  readonly cfList?: Uint8Array | undefined
}

/** An AppSKeyReq to send. */
export interface AppSKeyReqToSend {
  readonly protocolVersion: ProtocolVersion
  /** AS-ID. */
  readonly senderId: string
  readonly receiverId: JoinEui
  readonly devEui: DevEui
  readonly sessionKeyId: Uint8Array
}

/** A HomeNSReq to send. */
export interface HomeNsReqToSend extends NetworkRequest {
  readonly devEui: DevEui
}

/** A JoinReq as JSON text; `transactionId` is unsigned 32-bit. */
export function encodeJoinReq(request: JoinReqToSend, transactionId: number, style = STANDARD_STYLE): string {
  return encodeActivation('JoinReq', request, transactionId, style)
}

/** A RejoinReq as JSON text; `transactionId` is unsigned 32-bit. */
export function encodeRejoinReq(request: JoinReqToSend, transactionId: number, style = STANDARD_STYLE): string {
  return encodeActivation('RejoinReq', request, transactionId, style)
}

/** An AppSKeyReq as JSON text; `transactionId` is unsigned 32-bit. */
export function encodeAppSKeyReq(request: AppSKeyReqToSend, transactionId: number, style = STANDARD_STYLE): string {
  const { hexCase } = style
  const header = headerMembers('AppSKeyReq', request, transactionId, style)
  return encode({ ...header, SenderID: request.senderId }, style, {
    DevEUI: inCase(request.devEui, hexCase),
    SessionKeyID: hexOf(request.sessionKeyId, hexCase),
  })
}

/** A HomeNSReq as JSON text; `transactionId` is unsigned 32-bit. */
export function encodeHomeNsReq(request: HomeNsReqToSend, transactionId: number, style = STANDARD_STYLE): string {
  const header = networkHeader('HomeNSReq', request, transactionId, style)
  return encode(header, style, { DevEUI: inCase(request.devEui, style.hexCase) })
}

function encodeActivation(
  messageType: RequestType,
  request: JoinReqToSend,
  transactionId: number,
  style: RequestStyle,
): string {
  const { hexCase } = style
  return encode(networkHeader(messageType, request, transactionId, style), style, {
    MACVersion: style.macVersion === 'short' ? withoutPatchZero(request.macVersion) : request.macVersion,
    PHYPayload: hexOf(request.phyPayload, hexCase),
    DevEUI: inCase(request.devEui, hexCase),
    DevAddr: inCase(request.devAddr, hexCase),
    DLSettings: hexOf(Uint8Array.of(request.dlSettings), hexCase),
    RxDelay: request.rxDelay,
    CFList: request.cfList && hexOf(request.cfList, hexCase),
  })
}

type Header = Readonly<Record<HeaderMember, unknown>>

function networkHeader(
  messageType: RequestType,
  request: NetworkRequest,
  transactionId: number,
  style: RequestStyle,
): Header {
  const { senderNsId } = request
  const ownNsId = senderNsId && inCase(senderNsId, style.hexCase)
  return {
    ...headerMembers(messageType, request, transactionId, style),
    SenderID: style.netIdPrefix + inCase(request.senderId, style.hexCase),
    SenderNSID: request.protocolVersion === '1.0' ? undefined : style.senderNsId === 'empty' ? '' : ownNsId,
  }
}

function headerMembers(
  messageType: RequestType,
  request: { readonly protocolVersion: ProtocolVersion; readonly receiverId: JoinEui },
  transactionId: number,
  style: RequestStyle,
): Header {
  return {
    ProtocolVersion: request.protocolVersion,
    TransactionID: transactionId,
    MessageType: messageType,
    SenderID: undefined,
    SenderNSID: undefined,
    ReceiverID: inCase(request.receiverId, style.hexCase),
    VSExtension: {},
  }
}

/** Undefined members are left out. */
function encode(header: Header, style: RequestStyle, members: Readonly<Record<string, unknown>>): string {
  const inOrder = Object.fromEntries(style.header.map((name) => [name, header[name]]))
  return JSON.stringify({ ...inOrder, ...members }) + style.end
}

function withoutPatchZero(macVersion: string): string {
  return macVersion === '1.0.0' || macVersion === '1.1.0' ? macVersion.slice(0, -2) : macVersion
}
