import { devNonceOf, isJoinRequestOf, type JoinParameters } from '../lorawan.ts'
import type { AcceptedJoin, DeviceModel } from './device-model.ts'
import {
  comparableSender,
  hexOf,
  isAbsent,
  type Members,
  numberOf,
  type ReadHeader,
  readRequest,
} from './read-request.ts'
import { type Caller, CALLERS } from './world.ts'

/** What the server must answer to a request, by docs/backend-interfaces.md and by what it has accepted so far. */
export interface Expectation {
  readonly status: 200 | 400
  /** Undefined where the answer has no body. */
  readonly code: string | undefined
  readonly header: ReadHeader | undefined
  readonly join?: ExpectedJoin
  readonly release?: ExpectedRelease
}

/** A join-request that its device has made and that its owner allows. */
export interface ExpectedJoin {
  readonly model: DeviceModel
  readonly caller: 'clear' | 'wrapped'
  readonly frame: Buffer
  readonly parameters: JoinParameters
  readonly identity: string
  /** The join that is asked for again. */
  readonly repeated: AcceptedJoin | undefined
}

export interface ExpectedRelease {
  readonly model: DeviceModel
  readonly caller: 'named' | 'second'
  readonly session: AcceptedJoin
}

/** Finds a device by its EUIs, lower-case hex. */
export type FindDevice = (joinEui: string, devEui: string) => DeviceModel | undefined

const JOIN_REQUEST_DIGITS = 46

export function expectAnswer(find: FindDevice, caller: Caller, body: Buffer): Expectation {
  const request = readRequest(body)
  if (request.kind === 'ignored') return { status: 200, code: undefined, header: undefined }
  const { header } = request
  if (request.kind === 'refused') return { status: request.status, code: request.code, header }
  const peer = CALLERS[caller]
  const known = peer !== undefined && caller !== 'disabled' && comparableSender(header.senderId ?? '') === peer.id
  if (!known) return refused(header, 'UnknownSender')
  return request.type === 'JoinReq'
    ? expectJoin(find, caller, header, request.members)
    : expectRelease(find, caller, header, request.members)
}

function refused(header: ReadHeader, code: string): Expectation {
  return { status: 200, code, header }
}

function expectJoin(find: FindDevice, caller: Caller, header: ReadHeader, members: Members): Expectation {
  const join = readJoin(header, members)
  if (typeof join === 'string') return refused(header, join)
  if (CALLERS[caller]?.kind !== 'ns') return refused(header, 'UnknownSender')
  const { frame, parameters } = join
  const model = find(fromWire(frame, 1), fromWire(frame, 9))
  if (model === undefined) return refused(header, 'UnknownDevEUI')
  const { device } = model
  if (device.networks.length === 0) return refused(header, 'ActivationDisallowed')
  if (!device.networks.includes(parameters.netId) || (caller !== 'clear' && caller !== 'wrapped'))
    return refused(header, 'NoRoamingAgreement')
  if (!isJoinRequestOf(device, frame)) return refused(header, 'MICFailed')
  const identity = JSON.stringify([frame.toString('hex'), parameters])
  const expected = { model, caller, frame, parameters, identity }
  if (model.last?.identity === identity)
    return { ...refused(header, 'Success'), join: { ...expected, repeated: model.last } }
  if (!model.acceptsDevNonce(devNonceOf(frame))) return refused(header, 'FrameReplayed')
  if (device.applicationServers[0] === 'keyless.example') return refused(header, 'JoinReqFailed')
  return { ...refused(header, 'Success'), join: { ...expected, repeated: undefined } }
}

/** The members of a JoinReq, or the code that says what is wrong with the first that is wrong. */
function readJoin(header: ReadHeader, members: Members): { frame: Buffer; parameters: JoinParameters } | string {
  const netId = hexOf(header.senderId, 3)
  const payload = hexOf(members.get('PHYPayload'))
  if (netId === undefined || payload === undefined || payload === '') return 'Malformed'
  if (payload.length !== JOIN_REQUEST_DIGITS) return 'FrameSizeError'
  const frame = Buffer.from(payload, 'hex')
  const macVersion = members.get('MACVersion')
  const devAddr = hexOf(members.get('DevAddr'), 4)
  const dlSettings = hexOf(members.get('DLSettings'), 1)
  const rxDelay = numberOf(members.get('RxDelay'), 15)
  const withoutCfList = isAbsent(members.get('CFList'))
  const cfList = withoutCfList ? undefined : hexOf(members.get('CFList'), 16)
  const wrong =
    frame[0] !== 0 ||
    typeof macVersion !== 'string' ||
    macVersion === '' ||
    hexOf(members.get('DevEUI'), 8) !== fromWire(frame, 9) ||
    (!withoutCfList && cfList === undefined)
  if (wrong || devAddr === undefined || dlSettings === undefined || rxDelay === undefined) return 'Malformed'
  return { frame, parameters: { netId, devAddr, dlSettings: Number.parseInt(dlSettings, 16), rxDelay, cfList } }
}

function expectRelease(find: FindDevice, caller: Caller, header: ReadHeader, members: Members): Expectation {
  const devEui = hexOf(members.get('DevEUI'), 8)
  const sessionKeyId = hexOf(members.get('SessionKeyID'))
  const digits = sessionKeyId?.length ?? 0
  if (devEui === undefined || sessionKeyId === undefined || digits === 0 || digits % 2 !== 0 || digits > 128)
    return refused(header, 'Malformed')
  if (CALLERS[caller]?.kind !== 'as') return refused(header, 'UnknownSender')
  const model = find(hexOf(header.receiverId) ?? '', devEui)
  if (model === undefined) return refused(header, 'UnknownDevEUI')
  if (!model.device.applicationServers.includes(header.senderId ?? '')) return refused(header, 'ActivationDisallowed')
  const session = model.findSession(sessionKeyId)
  if (session === undefined) return refused(header, 'UnknownDevEUI')
  if (caller !== 'named' && caller !== 'second') return refused(header, 'JoinReqFailed')
  return { ...refused(header, 'Success'), release: { model, caller, session } }
}

/** An EUI in a frame, most significant byte first. */
function fromWire(frame: Buffer, at: number): string {
  return Buffer.from(frame.subarray(at, at + 8))
    .reverse()
    .toString('hex')
}
