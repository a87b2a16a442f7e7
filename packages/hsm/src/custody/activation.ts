import { timingSafeEqual } from 'node:crypto'
import {
  decodeJoinRequest,
  decodeRejoinRequest,
  type DevEui,
  encodeJoinAcceptPayload,
  hasOptNeg,
  JOIN_REQ_TYPE_JOIN,
  JOIN_REQUEST_MHDR,
  joinAcceptMicMessage10,
  joinAcceptMicMessage11,
  type JoinAccept,
  type JoinEui,
  joinRequestMicMessage,
  jsKeyBlock,
  KEY_TYPE,
  rejoinCount,
  rejoinRequestMicMessage,
  sessionKeyBlock10,
  sessionKeyBlock11,
} from '@mortise/lorawan'
import { HsmError } from '../errors.ts'
import type { DeviceRecord } from '../records/device-record.ts'
import type { Token, TokenKey } from '../token/token.ts'
import type { KeyScope } from './key-scope.ts'

const MIC_BYTES = 4

/** What an activation begins with: a join-request, or a rejoin-request of type 0, 1 or 2. */
export interface ActivationRequest {
  /** As the MIC of the join-accept names it: ff, or the rejoin type. */
  readonly joinReqType: number
  readonly devEui: DevEui
  /** Absent in rejoin types 0 and 2. */
  readonly joinEui: JoinEui | undefined
  /** DevNonce, or RJcount in its place (LoRaWAN 1.1 §6.2.5). */
  readonly devNonce: number
  readonly phyPayload: Buffer
}

/**
 * Reads the frame and holds its EUIs against the record.
 * @throws HsmError join_request_malformed, eui_mismatch, rejoin_unsupported for a device that does not speak LoRaWAN 1.1
 */
export function readActivationRequest(device: DeviceRecord, phyPayload: Buffer): ActivationRequest {
  const request = decodeActivationRequest(phyPayload)
  const joinEui = request.joinEui ?? device.joinEui
  if (request.devEui !== device.devEui || joinEui !== device.joinEui) throw new HsmError('eui_mismatch')
  if (isRejoin(request) && device.nwkKey === undefined) throw new HsmError('rejoin_unsupported', 'LoRaWAN version')
  return request
}

export function isRejoin({ joinReqType }: ActivationRequest): boolean {
  return joinReqType !== JOIN_REQ_TYPE_JOIN
}

function decodeActivationRequest(phyPayload: Buffer): ActivationRequest {
  try {
    if (phyPayload[0] === JOIN_REQUEST_MHDR)
      return { ...decodeJoinRequest(phyPayload), joinReqType: JOIN_REQ_TYPE_JOIN, phyPayload }
    const rejoin = decodeRejoinRequest(phyPayload)
    const joinEui = rejoin.rejoinType === 1 ? rejoin.joinEui : undefined
    return { devEui: rejoin.devEui, joinEui, joinReqType: rejoin.rejoinType, devNonce: rejoinCount(rejoin), phyPayload }
  } catch (error) {
    throw new HsmError('join_request_malformed', undefined, { cause: error })
  }
}

/** LoRaWAN 1.1 devices use NwkKey where 1.0.x devices use AppKey (LoRaWAN 1.1 §6.1.1.3, §6.2.5). */
function networkRootBlob(device: DeviceRecord): Buffer {
  return (device.nwkKey ?? device.appKey).rootUse
}

export interface SessionKeys {
  /** One key for 1.0.x and OptNeg 0; FNwkSIntKey, SNwkSIntKey, NwkSEncKey in this order for OptNeg 1. */
  readonly network: readonly TokenKey[]
  readonly app: TokenKey
}

/** The root keys of one request. Nothing of a session is derived before `verifyMic` has returned. */
export class Activation {
  readonly #token: Token
  readonly #keys: KeyScope
  readonly #device: DeviceRecord
  readonly #request: ActivationRequest
  readonly #root: TokenKey
  #jsIntKey: TokenKey | undefined

  constructor(token: Token, keys: KeyScope, device: DeviceRecord, request: ActivationRequest) {
    this.#token = token
    this.#keys = keys
    this.#device = device
    this.#request = request
    this.#root = keys.hold(token.openRoot(networkRootBlob(device)))
  }

  /**
   * The MIC of a join-request, or of a rejoin-request of type 1 (LoRaWAN 1.1 §6.2.4.2). Types 0 and 2 carry one under
   * SNwkSIntKey, which is the network server's to check: nobody else has it.
   * @throws HsmError mic_mismatch
   */
  verifyMic(): void {
    const { joinReqType, phyPayload } = this.#request
    if (joinReqType === JOIN_REQ_TYPE_JOIN)
      return requireMic(this.#token.cmac(this.#root, joinRequestMicMessage(phyPayload)), phyPayload)
    if (joinReqType === 1)
      requireMic(this.#token.cmac(this.#deriveJsIntKey(), rejoinRequestMicMessage(phyPayload)), phyPayload)
  }

  /** The join-accept: MIC, then AES *decryption*, so that a device needs AES encryption only (LoRaWAN 1.1 §6.2.5). */
  encryptAccept(accept: JoinAccept): Buffer {
    const payload = encodeJoinAcceptPayload(accept)
    const mic = this.#acceptMic(accept, payload).subarray(0, MIC_BYTES)
    const key = isRejoin(this.#request)
      ? this.#derive(this.#root, jsKeyBlock(KEY_TYPE.jsEncKey, this.#request.devEui), 'decrypt')
      : this.#root
    const encrypted = this.#token.decryptBlocks(key, Buffer.concat([payload.subarray(1), mic]))
    return Buffer.concat([payload.subarray(0, 1), encrypted])
  }

  /** @throws HsmError join_parameters_invalid for a rejoin without OptNeg, which only a 1.1 network answers */
  deriveSessionKeys(accept: JoinAccept, network: 'read' | 'wrap', app: 'read' | 'wrap'): SessionKeys {
    return this.#is11(accept)
      ? this.#deriveSessionKeys11(accept, network, app)
      : this.#deriveSessionKeys10(accept, network, app)
  }

  /** LoRaWAN 1.1 §6.2.5: OptNeg says whether the 1.1 derivation is used; a 1.0 device does not know the bit. */
  #is11({ dlSettings }: JoinAccept): boolean {
    if (isRejoin(this.#request) && !hasOptNeg(dlSettings)) throw new HsmError('join_parameters_invalid', 'OptNeg')
    return this.#device.nwkKey !== undefined && hasOptNeg(dlSettings)
  }

  #acceptMic(accept: JoinAccept, payload: Uint8Array): Buffer {
    if (!this.#is11(accept)) return this.#token.cmac(this.#root, joinAcceptMicMessage10(payload))
    const { joinReqType, devNonce } = this.#request
    const message = joinAcceptMicMessage11(joinReqType, this.#device.joinEui, devNonce, payload)
    return this.#token.cmac(this.#deriveJsIntKey(), message)
  }

  #deriveSessionKeys10(accept: JoinAccept, network: 'read' | 'wrap', app: 'read' | 'wrap'): SessionKeys {
    const { joinNonce, netId } = accept
    const { devNonce } = this.#request
    return {
      network: [this.#derive(this.#root, sessionKeyBlock10(KEY_TYPE.fNwkSIntKey, joinNonce, netId, devNonce), network)],
      app: this.#derive(this.#root, sessionKeyBlock10(KEY_TYPE.appSKey, joinNonce, netId, devNonce), app),
    }
  }

  #deriveSessionKeys11({ joinNonce }: JoinAccept, network: 'read' | 'wrap', app: 'read' | 'wrap'): SessionKeys {
    const { joinEui, appKey } = this.#device
    const { devNonce } = this.#request
    const appRoot = this.#keys.hold(this.#token.openRoot(appKey.rootUse))
    const networkTypes = [KEY_TYPE.fNwkSIntKey, KEY_TYPE.sNwkSIntKey, KEY_TYPE.nwkSEncKey]
    return {
      network: networkTypes.map((type) =>
        this.#derive(this.#root, sessionKeyBlock11(type, joinNonce, joinEui, devNonce), network),
      ),
      app: this.#derive(appRoot, sessionKeyBlock11(KEY_TYPE.appSKey, joinNonce, joinEui, devNonce), app),
    }
  }

  /** Under it are the MIC of a rejoin of type 1, and that of every 1.1 join-accept. */
  #deriveJsIntKey(): TokenKey {
    return (this.#jsIntKey ??= this.#derive(this.#root, jsKeyBlock(KEY_TYPE.jsIntKey, this.#request.devEui), 'mac'))
  }

  #derive(root: TokenKey, block: Uint8Array, use: 'read' | 'wrap' | 'mac' | 'decrypt'): TokenKey {
    return this.#keys.hold(this.#token.derive(root, block, use))
  }
}

function requireMic(cmac: Buffer, phyPayload: Buffer): void {
  if (!timingSafeEqual(cmac.subarray(0, MIC_BYTES), phyPayload.subarray(phyPayload.length - MIC_BYTES)))
    throw new HsmError('mic_mismatch')
}
