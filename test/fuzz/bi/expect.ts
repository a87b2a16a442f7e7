import type { JoinParameters } from '../lorawan.ts'
import type { Dialect } from './dialects.ts'
import type { AcceptedJoin, DeviceModel } from './device-model.ts'
import { expectActivation } from './expect-activation.ts'
import { type Caller, dialectOf, hasAgreement, nsIdOf, peerOf } from './peers.ts'
import { comparableSender, hexOf, type Members, type ReadHeader, readRequest } from './read-request.ts'

/** What the server must answer to a request, by docs/backend-interfaces.md and by what it has accepted so far. */
export interface Expectation {
  readonly status: 200 | 400 | typeof BUSY_STATUS
  /** Undefined where the answer has no body. */
  readonly code: string | undefined
  readonly header: ReadHeader | undefined
  /** How it is written. */
  readonly dialect: Dialect
  /** Whether the response is empty, and the answer comes to the caller's URL. */
  readonly posted: boolean
  readonly join?: ExpectedJoin
  readonly release?: ExpectedRelease
  readonly home?: ExpectedHome
}

/** What decides, beside who asked and how. */
export type Outcome = Pick<Expectation, 'code' | 'join' | 'release' | 'home'>

/** A join-request or rejoin-request that its device has made and that its owner allows. */
export interface ExpectedJoin {
  readonly model: DeviceModel
  readonly caller: Caller
  readonly frame: Buffer
  readonly parameters: JoinParameters
  readonly identity: string
  /** The join that is asked for again. */
  readonly repeated: AcceptedJoin | undefined
}

export interface ExpectedRelease {
  readonly model: DeviceModel
  readonly caller: Caller
  readonly session: AcceptedJoin
}

export interface ExpectedHome {
  /** Lower-case hex. */
  readonly netId: string
  readonly nsId: string | undefined
}

/** Finds a device by its EUIs, lower-case hex. */
export type FindDevice = (joinEui: string, devEui: string) => DeviceModel | undefined

/** What is asked with a message of its own for an answer is kept until then, and may not be larger. */
const MAX_POSTED_BYTES = 4096
export const BUSY_STATUS = 503

export function expectAnswer(find: FindDevice, caller: Caller, body: Buffer): Expectation {
  const dialect = dialectOf(caller)
  const request = readRequest(body, dialect)
  if (request.kind === 'ignored') return { status: 200, code: undefined, header: undefined, dialect, posted: false }
  const { header } = request
  if (request.kind === 'refused') return { status: request.status, code: request.code, header, dialect, posted: false }
  const peer = peerOf(caller)
  const posted = peer?.asynchronous === true
  if (posted && body.length > MAX_POSTED_BYTES)
    return { status: BUSY_STATUS, code: 'Other', header, dialect, posted: false }
  const answered = { status: 200, header, dialect, posted } as const
  const known = peer !== undefined && caller !== 'disabled' && comparableSender(header.senderId ?? '') === peer.id
  if (!known) return { ...answered, code: 'UnknownSender' }
  return { ...answered, ...outcomeOf(find, caller, request) }
}

function outcomeOf(
  find: FindDevice,
  caller: Caller,
  request: Extract<ReturnType<typeof readRequest>, { kind: 'read' }>,
): Outcome {
  const { type, header, members } = request
  switch (type) {
    case 'JoinReq':
    case 'RejoinReq':
      return expectActivation(find, caller, type, header, members)
    case 'AppSKeyReq':
      return expectRelease(find, caller, header, members)
    case 'HomeNSReq':
      return expectHome(find, caller, header, members)
  }
}

function expectRelease(find: FindDevice, caller: Caller, header: ReadHeader, members: Members): Outcome {
  const devEui = hexOf(members.get('DevEUI'), 8)
  const sessionKeyId = hexOf(members.get('SessionKeyID'))
  const digits = sessionKeyId?.length ?? 0
  if (devEui === undefined || sessionKeyId === undefined || digits === 0 || digits % 2 !== 0 || digits > 128)
    return { code: 'Malformed' }
  const peer = peerOf(caller)
  if (peer?.kind !== 'as') return { code: 'UnknownSender' }
  const model = find(hexOf(header.receiverId) ?? '', devEui)
  if (model === undefined) return { code: 'UnknownDevEUI' }
  if (!model.device.applicationServers.includes(header.senderId ?? '')) return { code: 'ActivationDisallowed' }
  const session = model.findSession(sessionKeyId)
  if (session === undefined) return { code: 'UnknownDevEUI' }
  if (peer.kekBytes === undefined) return { code: 'JoinReqFailed' }
  return { code: 'Success', release: { model, caller, session } }
}

/** Whoever has no agreement learns nothing of the device, not even whether there is one. */
function expectHome(find: FindDevice, caller: Caller, header: ReadHeader, members: Members): Outcome {
  const devEui = hexOf(members.get('DevEUI'), 8)
  const joinEui = hexOf(header.receiverId) ?? ''
  if (hexOf(header.senderId, 3) === undefined || devEui === undefined) return { code: 'Malformed' }
  if (peerOf(caller)?.kind !== 'ns') return { code: 'UnknownSender' }
  if (!hasAgreement(caller, joinEui)) return { code: 'NoRoamingAgreement' }
  const model = find(joinEui, devEui)
  if (model === undefined) return { code: 'UnknownDevEUI' }
  const [netId] = model.device.networks
  return netId === undefined
    ? { code: 'ActivationDisallowed' }
    : { code: 'Success', home: { netId, nsId: header.version === '1.1' ? nsIdOf(netId) : undefined } }
}
