import { HsmError } from '../errors.ts'
import { SESSION_KEY_ID_BYTES } from '../records/session-record.ts'
import { WireReader, WireWriter } from './wire.ts'

/**
 * Everything that one join, or one rejoin, needs, in one crossing. The records decide; the rest is what the network server asked for.
 */
export interface JoinCommand {
  readonly deviceRecord: Buffer
  /** The join-request as received, 23 bytes, or the rejoin-request: 19 bytes for types 0 and 2, 24 for type 1. */
  readonly phyPayload: Buffer
  /** NetID of the asking network server, 3 bytes big-endian. */
  readonly netId: Buffer
  /** DevAddr that the network server chose, 4 bytes big-endian. */
  readonly devAddr: Buffer
  readonly dlSettings: number
  readonly rxDelay: number
  /** CFList in wire order, 16 bytes. */
  readonly cfList: Buffer | undefined
  /** 1..2^24-1, taken from the key set's counter. */
  readonly joinNonce: number
  /** KEK record (kind NS) for the network keys; without it they leave in clear, for mTLS to carry. */
  readonly nsKekRecord: Buffer | undefined
  /** KEK record (kind AS) for the AppSKey; without it no AppSKey leaves. */
  readonly asKekRecord: Buffer | undefined
  /** Anything but `no` is refused unless the device record says that the network is its application server. */
  readonly appSKeyToNetwork: AppSKeyToNetwork
}

/**
 * Whether the network gets the AppSKey: `likeNetworkKeys` under its KEK, if the command has one; `clear` whatever the
 * command has, for a network server that unwraps no AppSKey. Append, never reorder.
 */
export const APP_S_KEY_TO_NETWORK = ['no', 'likeNetworkKeys', 'clear'] as const
export type AppSKeyToNetwork = (typeof APP_S_KEY_TO_NETWORK)[number]

/** A session key as it leaves: 16 bytes in clear, or 24 bytes wrapped (AES-KW). */
export type ReleasedKey = Buffer

export interface JoinAnswer {
  /** The encrypted join-accept, 17 or 33 bytes. */
  readonly phyPayload: Buffer
  /** One key (NwkSKey) for 1.0.x and for OptNeg 0; FNwkSIntKey, SNwkSIntKey, NwkSEncKey in this order for OptNeg 1. */
  readonly networkKeys: readonly ReleasedKey[]
  /** Wrapped under the AS KEK, or as `appSKeyToNetwork` says. */
  readonly appSKey: ReleasedKey | undefined
  readonly sessionKeyId: Buffer
  readonly sessionRecord: Buffer
  readonly receipt: Buffer
}

export function encodeJoinCommand(command: JoinCommand): Buffer {
  return new WireWriter(768)
    .bytes(command.deviceRecord)
    .bytes(command.phyPayload)
    .fixed(command.netId)
    .fixed(command.devAddr)
    .uint8(command.dlSettings)
    .uint8(command.rxDelay)
    .bytes(command.cfList)
    .uint32(command.joinNonce)
    .bytes(command.nsKekRecord)
    .bytes(command.asKekRecord)
    .uint8(APP_S_KEY_TO_NETWORK.indexOf(command.appSKeyToNetwork))
    .finish()
}

export function decodeJoinCommand(payload: Buffer): JoinCommand {
  const reader = new WireReader(payload)
  const command: JoinCommand = {
    deviceRecord: reader.bytes(),
    phyPayload: reader.bytes(),
    netId: reader.fixed(3),
    devAddr: reader.fixed(4),
    dlSettings: reader.uint8(),
    rxDelay: reader.uint8(),
    cfList: reader.optionalBytes(),
    joinNonce: reader.uint32(),
    nsKekRecord: reader.optionalBytes(),
    asKekRecord: reader.optionalBytes(),
    appSKeyToNetwork: readAppSKeyToNetwork(reader),
  }
  reader.end()
  return command
}

function readAppSKeyToNetwork(reader: WireReader): AppSKeyToNetwork {
  const delivery = APP_S_KEY_TO_NETWORK[reader.uint8()]
  if (delivery === undefined) throw new HsmError('frame_malformed', 'AppSKey delivery')
  return delivery
}

export function encodeJoinAnswer(answer: JoinAnswer): Buffer {
  const writer = new WireWriter().bytes(answer.phyPayload).uint8(answer.networkKeys.length)
  for (const key of answer.networkKeys) writer.bytes(key)
  return writer
    .bytes(answer.appSKey)
    .fixed(answer.sessionKeyId)
    .bytes(answer.sessionRecord)
    .bytes(answer.receipt)
    .finish()
}

export function decodeJoinAnswer(payload: Buffer): JoinAnswer {
  const reader = new WireReader(payload)
  const answer: JoinAnswer = {
    phyPayload: reader.bytes(),
    networkKeys: reader.list(reader.uint8(), () => reader.bytes()),
    appSKey: reader.optionalBytes(),
    sessionKeyId: reader.fixed(SESSION_KEY_ID_BYTES),
    sessionRecord: reader.bytes(),
    receipt: reader.bytes(),
  }
  reader.end()
  return answer
}

/** Only the MIC of a join- or rejoin-request: tells a replay by the device from a forgery, and derives nothing. */
export interface VerifyJoinRequestCommand {
  readonly deviceRecord: Buffer
  readonly phyPayload: Buffer
}

export function encodeVerifyJoinRequest(command: VerifyJoinRequestCommand): Buffer {
  return new WireWriter().bytes(command.deviceRecord).bytes(command.phyPayload).finish()
}

export function decodeVerifyJoinRequest(payload: Buffer): VerifyJoinRequestCommand {
  const reader = new WireReader(payload)
  const command = { deviceRecord: reader.bytes(), phyPayload: reader.bytes() }
  reader.end()
  return command
}
