import { joinRequest } from '../lorawan.ts'
import type { Random } from '../random.ts'
import { type Caller, CALLERS, type EnrolledDevice } from './world.ts'

/** A message by its members, in the order in which they are written. */
export type Message = Record<string, unknown>

const MAC_VERSIONS = ['1.0', '1.0.2', '1.0.3', '1.0.4', '1.1', '1.1.0', '2.0', 'whatever']

/** The caller with whose NetID a device of these networks joins. */
export function networkCaller(random: Random, { networks }: EnrolledDevice): 'clear' | 'wrapped' {
  return networks.includes(CALLERS.wrapped.id) && random.chance(0.4) ? 'wrapped' : 'clear'
}

/** A JoinReq as some network server may send it, valid in all of its members. */
export function joinReq(random: Random, device: EnrolledDevice, caller: Caller, devNonce: number): Message {
  return joinReqWith(random, device, caller, joinRequest(device, devNonce))
}

/** The same with a frame of the fuzzer's own. */
export function joinReqWith(random: Random, device: EnrolledDevice, caller: Caller, frame: Buffer): Message {
  const rxDelay = random.below(16)
  const cfList = random.weighted<unknown>([
    [5, undefined],
    [1, ''],
    [1, null],
    [4, random.bytes(16).toString('hex')],
  ])
  return {
    ...header(random, 'JoinReq', caller, device.joinEui),
    MACVersion: random.chance(0.7) ? device.macVersion : random.pick(MAC_VERSIONS),
    PHYPayload: hexForm(random, frame),
    DevEUI: hexForm(random, Buffer.from(device.devEui, 'hex')),
    DevAddr: hexForm(random, random.bytes(4)),
    DLSettings: hexForm(random, random.bytes(1)),
    RxDelay: random.chance(0.9) ? rxDelay : String(rxDelay),
    CFList: cfList,
  }
}

/** An AppSKeyReq for a session, hex. */
export function appSKeyReq(random: Random, device: EnrolledDevice, caller: Caller, sessionKeyId: string): Message {
  return {
    ...header(random, 'AppSKeyReq', caller, device.joinEui),
    DevEUI: hexForm(random, Buffer.from(device.devEui, 'hex')),
    SessionKeyID: hexForm(random, Buffer.from(sessionKeyId, 'hex')),
  }
}

function header(random: Random, type: string, caller: Caller, joinEui: string): Message {
  const version = random.chance(0.5) ? '1.0' : '1.1'
  const id = CALLERS[caller]?.id ?? '000013'
  const netId = CALLERS[caller]?.kind === 'as' ? id : hexForm(random, Buffer.from(id, 'hex'))
  return {
    ProtocolVersion: version,
    MessageType: type,
    SenderID: netId,
    ReceiverID: hexForm(random, Buffer.from(joinEui, 'hex')),
    TransactionID: random.chance(0.1) ? 0 : random.uint32(),
    SenderNSID: random.chance(0.2) ? random.pick([random.bytes(8).toString('hex'), '000013', '']) : undefined,
    SenderToken: random.chance(0.1) ? random.bytes(random.between(1, 64)).toString('hex') : undefined,
    ReceiverToken: random.chance(0.05) ? hexForm(random, random.bytes(4)) : undefined,
  }
}

/** TS002 §22.3: either case, and an optional prefix. */
function hexForm(random: Random, bytes: Buffer): string {
  const hex = random.chance(0.15) ? bytes.toString('hex').toUpperCase() : bytes.toString('hex')
  return random.chance(0.1) ? `${random.pick(['0x', '0X'])}${hex}` : hex
}
