import { joinRequest } from '../air-requests.ts'
import type { Random } from '../random.ts'
import { type Caller, dialectOf, idOf, type Network, NETWORK_SHARES, peerOf } from './peers.ts'
import type { EnrolledDevice } from './devices.ts'

/** A message by its members, in the order in which they are written. */
export type Message = Record<string, unknown>

const MAC_VERSIONS = ['1.0', '1.0.2', '1.0.3', '1.0.4', '1.1', '1.1.0', '2.0', 'whatever']
const OPT_NEG = 0x80

/** The network with whose NetID a device of these networks joins. */
export function networkCaller(random: Random, { networks }: EnrolledDevice): Network {
  const allowed = NETWORK_SHARES.filter(([, name]) => networks.includes(idOf(name)))
  return allowed.length === 0 ? 'clear' : random.weighted(allowed)
}

/** A JoinReq as some network server may send it, valid in all of its members. */
export function joinReq(random: Random, device: EnrolledDevice, caller: Caller, devNonce: number): Message {
  return joinReqWith(random, device, caller, joinRequest(device, devNonce))
}

/** The same with a frame of the fuzzer's own. */
export function joinReqWith(random: Random, device: EnrolledDevice, caller: Caller, frame: Buffer): Message {
  return activationReq(random, 'JoinReq', device, caller, frame, random.below(256))
}

/** A RejoinReq, valid in all of its members if the frame is. */
export function rejoinReqWith(random: Random, device: EnrolledDevice, caller: Caller, frame: Buffer): Message {
  return activationReq(random, 'RejoinReq', device, caller, frame, OPT_NEG | random.below(256))
}

/** An AppSKeyReq for a session, hex. */
export function appSKeyReq(random: Random, device: EnrolledDevice, caller: Caller, sessionKeyId: string): Message {
  return {
    ...header(random, 'AppSKeyReq', caller, device.joinEui),
    DevEUI: hexForm(random, Buffer.from(device.devEui, 'hex')),
    SessionKeyID: hexForm(random, Buffer.from(sessionKeyId, 'hex')),
  }
}

export function homeNsReq(random: Random, device: EnrolledDevice, caller: Caller): Message {
  return {
    ...header(random, 'HomeNSReq', caller, device.joinEui),
    DevEUI: hexForm(random, Buffer.from(device.devEui, 'hex')),
  }
}

function activationReq(
  random: Random,
  type: 'JoinReq' | 'RejoinReq',
  device: EnrolledDevice,
  caller: Caller,
  frame: Buffer,
  dlSettings: number,
): Message {
  const rxDelay = random.below(16)
  const cfList = random.weighted<unknown>([
    [5, undefined],
    [1, ''],
    [1, null],
    [4, random.bytes(16).toString('hex')],
  ])
  return {
    ...header(random, type, caller, device.joinEui),
    MACVersion: random.chance(0.7) ? device.macVersion : random.pick(MAC_VERSIONS),
    PHYPayload: hexForm(random, frame),
    DevEUI: hexForm(random, Buffer.from(device.devEui, 'hex')),
    DevAddr: hexForm(random, random.bytes(4)),
    DLSettings: hexForm(random, Buffer.of(dlSettings)),
    RxDelay: random.chance(0.9) ? rxDelay : String(rxDelay),
    CFList: cfList,
  }
}

function header(random: Random, type: string, caller: Caller, joinEui: string): Message {
  const { versions, nsId } = dialectOf(caller)
  const { kind, id } = peerOf(caller) ?? { kind: 'ns', id: idOf('clear') }
  const oddNsId = random.chance(0.2) ? random.pick([random.bytes(8).toString('hex'), '000013', '']) : undefined
  return {
    ProtocolVersion: random.pick(versions),
    MessageType: type,
    SenderID: kind === 'as' ? id : hexForm(random, Buffer.from(id, 'hex')),
    ReceiverID: hexForm(random, Buffer.from(joinEui, 'hex')),
    TransactionID: random.chance(0.1) ? 0 : random.uint32(),
    SenderNSID: nsId === 'required' ? hexForm(random, random.bytes(8)) : oddNsId,
    SenderToken: random.chance(0.1) ? random.bytes(random.between(1, 64)).toString('hex') : undefined,
    ReceiverToken: random.chance(0.05) ? hexForm(random, random.bytes(4)) : undefined,
  }
}

/** TS002 §22.3: either case, and an optional prefix. */
function hexForm(random: Random, bytes: Buffer): string {
  const hex = random.chance(0.15) ? bytes.toString('hex').toUpperCase() : bytes.toString('hex')
  return random.chance(0.1) ? `${random.pick(['0x', '0X'])}${hex}` : hex
}
