import { bytesToHex, type DevAddr, type DevEui, type JoinEui, type NetId, type NsId } from '@mortise/lorawan'
import type { ProtocolVersion } from './protocol-version.ts'

/** A JoinReq to send. */
export interface JoinReqToSend {
  readonly protocolVersion: ProtocolVersion
  readonly senderId: NetId
  readonly receiverId: JoinEui
  /** Sent with protocol version 1.1 only; 1.0 does not know it. */
  readonly senderNsId?: NsId | undefined
  /** As on the wire: "1.0.3", "1.1.0", or with the patch level left out. */
  readonly macVersion: string
  /** The join-request frame, 23 bytes. */
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

/** A JoinReq as JSON text; `transactionId` is unsigned 32-bit. */
export function encodeJoinReq(request: JoinReqToSend, transactionId: number): string {
  return JSON.stringify({
    ProtocolVersion: request.protocolVersion,
    MessageType: 'JoinReq',
    SenderID: request.senderId,
    SenderNSID: request.protocolVersion === '1.1' ? request.senderNsId : undefined,
    ReceiverID: request.receiverId,
    TransactionID: transactionId,
    MACVersion: request.macVersion,
    PHYPayload: bytesToHex(request.phyPayload),
    DevEUI: request.devEui,
    DevAddr: request.devAddr,
    DLSettings: bytesToHex(Uint8Array.of(request.dlSettings)),
    RxDelay: request.rxDelay,
    CFList: request.cfList && bytesToHex(request.cfList),
  })
}

/** An AppSKeyReq as JSON text; `transactionId` is unsigned 32-bit. */
export function encodeAppSKeyReq(request: AppSKeyReqToSend, transactionId: number): string {
  return JSON.stringify({
    ProtocolVersion: request.protocolVersion,
    MessageType: 'AppSKeyReq',
    SenderID: request.senderId,
    ReceiverID: request.receiverId,
    TransactionID: transactionId,
    DevEUI: request.devEui,
    SessionKeyID: bytesToHex(request.sessionKeyId),
  })
}
