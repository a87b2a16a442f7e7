import { type AirRequest, isRequestOf, JOIN_REQUEST, readAirRequest, REJOIN_BYTES } from '../air-requests.ts'
import { hasOptNeg, type JoinParameters } from '../lorawan.ts'
import type { DeviceModel } from './device-model.ts'
import type { FindDevice, Outcome } from './expect.ts'
import { type Caller, dialectOf, peerOf } from './peers.ts'
import { hexOf, isAbsent, type Members, numberOf, type ReadHeader } from './read-request.ts'

interface ReadActivation {
  readonly frame: Buffer
  readonly request: AirRequest
  readonly parameters: JoinParameters
}

const JOIN_DIGITS = 46
const REJOIN_DIGITS: readonly number[] = Object.values(REJOIN_BYTES).map((bytes) => 2 * bytes)

/** What a JoinReq or a RejoinReq of a known peer comes to. */
export function expectActivation(
  find: FindDevice,
  caller: Caller,
  type: 'JoinReq' | 'RejoinReq',
  header: ReadHeader,
  members: Members,
): Outcome {
  const read = readActivation(type, header, members)
  if (typeof read === 'string') return { code: read }
  if (peerOf(caller)?.kind !== 'ns') return { code: 'UnknownSender' }
  const { frame, request, parameters } = read
  const model = find(request.joinEui ?? hexOf(header.receiverId) ?? '', request.devEui)
  if (model === undefined) return { code: 'UnknownDevEUI' }
  const { device } = model
  if (device.networks.length === 0) return { code: 'ActivationDisallowed' }
  if (!device.networks.includes(parameters.netId)) return { code: 'NoRoamingAgreement' }
  if (request.type !== JOIN_REQUEST && device.nwkKey === undefined) return { code: 'JoinReqFailed' }
  if (!isRequestOf(device, frame)) return { code: 'MICFailed' }
  const identity = JSON.stringify([frame.toString('hex'), parameters])
  const expected = { model, caller, frame, parameters, identity }
  if (model.last?.identity === identity) return { code: 'Success', join: { ...expected, repeated: model.last } }
  const code = refusalOf(model, caller, request, parameters.netId)
  return code === undefined ? { code: 'Success', join: { ...expected, repeated: undefined } } : { code }
}

/** What is told only to a frame whose MIC is right. */
function refusalOf(model: DeviceModel, caller: Caller, { type, count }: AirRequest, netId: string): string | undefined {
  if (type === JOIN_REQUEST && !model.acceptsDevNonce(count)) return 'FrameReplayed'
  if (type !== JOIN_REQUEST && model.last === undefined) return 'JoinReqFailed'
  // Their MIC is the network's to check: another one could make them up.
  if ((type === 0 || type === 2) && model.last?.netId !== netId) return 'JoinReqFailed'
  if (type === 1 && !model.acceptsRjCount1(count)) return 'FrameReplayed'
  const { device } = model
  const peer = peerOf(caller)
  const kekBytes = peer?.kekBytes
  const withoutKek = kekBytes === undefined ? peer?.kekOnly === true : !dialectOf(caller).kekBytes.includes(kekBytes)
  const withoutOwner = !device.networkIsApplicationServer && device.applicationServers[0] === 'keyless.example'
  return withoutKek || withoutOwner ? 'JoinReqFailed' : undefined
}

/** The members of a message, or the code that says what is wrong with the first that is wrong. */
function readActivation(type: 'JoinReq' | 'RejoinReq', header: ReadHeader, members: Members): ReadActivation | string {
  const netId = hexOf(header.senderId, 3)
  const frame = readFrame(type, members)
  if (netId === undefined) return 'Malformed'
  if (typeof frame === 'string') return frame
  const request = readAirRequest(frame)
  const macVersion = members.get('MACVersion')
  const devAddr = hexOf(members.get('DevAddr'), 4)
  const dlSettings = Number.parseInt(hexOf(members.get('DLSettings'), 1) ?? '', 16)
  const rxDelay = numberOf(members.get('RxDelay'), 15)
  const withoutCfList = isAbsent(members.get('CFList'))
  const cfList = withoutCfList ? undefined : hexOf(members.get('CFList'), 16)
  const wrong =
    typeof macVersion !== 'string' ||
    macVersion === '' ||
    hexOf(members.get('DevEUI'), 8) !== request?.devEui ||
    Number.isNaN(dlSettings) ||
    (type === 'RejoinReq' && !hasOptNeg(dlSettings)) ||
    (!withoutCfList && cfList === undefined)
  if (wrong || request === undefined || devAddr === undefined || rxDelay === undefined) return 'Malformed'
  return { frame, request, parameters: { netId, devAddr, dlSettings, rxDelay, cfList } }
}

/** A frame of the size that its message or its rejoin type demands. */
function readFrame(type: 'JoinReq' | 'RejoinReq', members: Members): Buffer | string {
  const payload = hexOf(members.get('PHYPayload'))
  if (payload === undefined || payload === '') return 'Malformed'
  if (!(type === 'JoinReq' ? [JOIN_DIGITS] : REJOIN_DIGITS).includes(payload.length)) return 'FrameSizeError'
  const frame = Buffer.from(payload, 'hex')
  if (type === 'JoinReq') return frame[0] === 0 ? frame : 'Malformed'
  const [mhdr, rejoinType] = frame
  if (mhdr !== 0xc0 || (rejoinType !== 0 && rejoinType !== 1 && rejoinType !== 2)) return 'Malformed'
  return frame.length === REJOIN_BYTES[rejoinType] ? frame : 'FrameSizeError'
}
