import { randomBytes } from 'node:crypto'
import { encodeJoinReq } from '@mortise/backend-interfaces'
import {
  bytesToHex,
  type DevAddr,
  type DevEui,
  type JoinEui,
  type NetId,
  OPT_NEG,
  parseDevAddr,
} from '@mortise/lorawan'
import type { FleetDevice } from './fleet.ts'
import type { Random } from './random.ts'

/** A JoinReq that a network server may send once, twice, or again after a day. */
export interface JoinRequest {
  readonly devEui: DevEui
  readonly joinEui: JoinEui
  readonly macVersion: string
  readonly devNonce: number
  readonly phyPayload: Uint8Array
  readonly senderId: NetId
  readonly devAddr: DevAddr
  readonly dlSettings: number
  readonly rxDelay: number
  readonly cfList: Uint8Array | undefined
  /** Equal for requests that are the same join: everything that the answer depends on. */
  readonly digest: string
}

type Parameters = Pick<JoinRequest, 'senderId' | 'devAddr' | 'dlSettings' | 'rxDelay' | 'cfList'>

const DEV_NONCE_OFFSET = 17

/** A new join of a device, which waits for its answer and for no earlier one any more. */
export async function newJoinRequest(
  device: FleetDevice,
  networks: readonly NetId[],
  random: Random,
): Promise<JoinRequest> {
  const { phyPayload, devNonce } = await device.inTurn(() => sign(device))
  const optNeg = device.identity.macVersion === '1.1.0' && random.chance(0.7)
  const parameters = {
    senderId: random.pick(networks) ?? raise('no network'),
    devAddr: randomDevAddr(),
    dlSettings: optNeg ? OPT_NEG : 0,
    rxDelay: random.below(16),
    cfList: random.chance(0.3) ? randomBytes(16) : undefined,
  }
  const request = withDigest({ ...device.identity, devNonce, phyPayload, ...parameters })
  device.remember(request)
  return request
}

async function sign(device: FleetDevice): Promise<Pick<JoinRequest, 'phyPayload' | 'devNonce'>> {
  const phyPayload = await device.device.joinRequest()
  const devNonce = Buffer.from(phyPayload).readUInt16LE(DEV_NONCE_OFFSET)
  device.pending = devNonce
  return { phyPayload, devNonce }
}

/** The same join-request, which the network, or another one, wants answered otherwise. */
export function changed(request: JoinRequest, networks: readonly NetId[], random: Random): JoinRequest {
  const other = networks.find((netId) => netId !== request.senderId) ?? request.senderId
  const changes: Partial<Parameters>[] = [
    { senderId: other },
    { devAddr: randomDevAddr() },
    { dlSettings: request.dlSettings ^ 0x10 },
    { rxDelay: (request.rxDelay + 1) % 16 },
    { cfList: request.cfList === undefined ? randomBytes(16) : undefined },
  ]
  return withDigest({ ...request, ...random.pick(changes) })
}

/** The body of a JoinReq. Protocol version 1.1 has a Result of its own for a used DevNonce. */
export function joinReqBody(request: JoinRequest, transactionId: number): string {
  return encodeJoinReq({ ...request, protocolVersion: '1.1', receiverId: request.joinEui }, transactionId)
}

function withDigest(request: Omit<JoinRequest, 'digest'>): JoinRequest {
  const { senderId, devAddr, dlSettings, rxDelay, cfList, phyPayload } = request
  const parts = [senderId, devAddr, dlSettings, rxDelay, cfList && bytesToHex(cfList), bytesToHex(phyPayload)]
  return { ...request, digest: parts.join(' ') }
}

function randomDevAddr(): DevAddr {
  return parseDevAddr(randomBytes(4).toString('hex'))
}

function raise(message: string): never {
  throw new RangeError(message)
}
