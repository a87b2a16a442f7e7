import { timingSafeEqual } from 'node:crypto'
import {
  decodeJoinRequest,
  encodeJoinAcceptPayload,
  eui64ToBytes,
  hasOptNeg,
  joinAcceptMicMessage10,
  joinAcceptMicMessage11,
  type JoinAccept,
  type JoinRequest,
  joinRequestMicMessage,
  jsKeyBlock,
  KEY_TYPE,
  MAX_JOIN_NONCE,
  netIdFromBytes,
  devAddrFromBytes,
  sessionKeyBlock10,
  sessionKeyBlock11,
} from '@mortise/lorawan'
import type { JoinAnswer, JoinCommand, VerifyJoinRequestCommand } from '../contract/join.ts'
import { HsmError } from '../errors.ts'
import type { AppSKeyDelivery } from '../receipts/receipt.ts'
import { type DeviceRecord, OWNER_ID_BYTES } from '../records/device-record.ts'
import { encodeSessionRecord, SESSION_KEY_ID_BYTES } from '../records/session-record.ts'
import type { Token, TokenKey } from '../token/token.ts'
import { type Custody, openDeviceRecord } from './custody.ts'
import type { OpenKek } from './kek-cache.ts'
import { type KeyScope, withKeys } from './key-scope.ts'

const MIC_BYTES = 4
const JOIN_REQUEST_TYPE = 0xff
const CF_LIST_BYTES = 16
const MAX_RX_DELAY = 15

/**
 * Answers a join inside the trust boundary: genuine record, MIC, join-accept, session keys, wrapping. What decides is in
 * the records; the command cannot choose a version, a key or a recipient.
 * @throws HsmError record_*, eui_mismatch, mic_mismatch, network_not_allowed, kek_*, recipient_not_allowed, owner_mismatch, join_*
 */
export function answerJoin(custody: Custody, command: JoinCommand): JoinAnswer {
  const device = openDeviceRecord(custody, command.deviceRecord)
  const request = readJoinRequest(device, command.phyPayload)
  const accept = readJoinAccept(device, command)
  const nsKek = openNetworkKek(custody, device, accept, command.nsKekRecord)
  const asKek = openApplicationKek(custody, device, command.asKekRecord)
  checkDeliveryToNetwork(device, command, asKek)
  return withKeys(custody.token, (keys) => {
    const join = new Join(custody.token, keys, device, request, accept)
    join.verifyMic(command.phyPayload)
    const sessionKeys = join.deriveSessionKeys(nsKek === undefined ? 'read' : 'wrap', deliveryUse(command, nsKek))
    const sessionKeyId = sessionKeyIdOf(device, accept.joinNonce)
    return {
      phyPayload: join.encryptAccept(),
      networkKeys: sessionKeys.network.map((key) => release(custody.token, nsKek, key)),
      appSKey: releaseAppSKey(custody.token, command, sessionKeys.app, nsKek, asKek),
      sessionKeyId,
      sessionRecord: recordSession(custody, device, sessionKeyId, sessionKeys.app),
      receipt: custody.receipts.append({
        operation: 'answerJoin',
        subject: command.deviceRecord,
        device: { receiptSalt: device.receiptSalt, devEui: eui64ToBytes(device.devEui) },
        kekIds: [nsKek, asKek].flatMap((kek) => (kek === undefined ? [] : [kek.record.kekId])),
        appSKey: deliveryOf(command, nsKek, asKek),
      }),
    }
  })
}

/**
 * Checks the MIC of a join-request and derives nothing.
 * @throws HsmError record_*, eui_mismatch, mic_mismatch, join_request_malformed
 */
export function verifyJoinRequest(custody: Custody, command: VerifyJoinRequestCommand): void {
  const device = openDeviceRecord(custody, command.deviceRecord)
  readJoinRequest(device, command.phyPayload)
  withKeys(custody.token, (keys) => {
    const root = keys.hold(custody.token.openRoot(networkRootBlob(device)))
    verifyJoinRequestMic(custody.token, root, command.phyPayload)
  })
}

/** SessionKeyID: device id (first 4 bytes) ‖ key generation (1, low byte) ‖ JoinNonce (3, big-endian): unique per device, and the same again for the same join. */
function sessionKeyIdOf(device: DeviceRecord, joinNonce: number): Buffer {
  const id = Buffer.alloc(SESSION_KEY_ID_BYTES)
  device.deviceId.copy(id, 0, 0, 4)
  id.writeUInt8(device.keyGeneration & 0xff, 4)
  id.writeUIntBE(joinNonce, 5, 3)
  return id
}

function readJoinRequest(device: DeviceRecord, phyPayload: Buffer): JoinRequest {
  let request: JoinRequest
  try {
    request = decodeJoinRequest(phyPayload)
  } catch (error) {
    throw new HsmError('join_request_malformed', undefined, { cause: error })
  }
  if (request.devEui !== device.devEui || request.joinEui !== device.joinEui) throw new HsmError('eui_mismatch')
  return request
}

function readJoinAccept(device: DeviceRecord, command: JoinCommand): JoinAccept {
  const { joinNonce, rxDelay, cfList } = command
  if (joinNonce < 1 || joinNonce > MAX_JOIN_NONCE) throw new HsmError('join_parameters_invalid', 'JoinNonce')
  if (rxDelay > MAX_RX_DELAY) throw new HsmError('join_parameters_invalid', 'RxDelay')
  if (cfList !== undefined && cfList.length !== CF_LIST_BYTES) throw new HsmError('join_parameters_invalid', 'CFList')
  const netId = netIdFromBytes(command.netId)
  if (!device.networks.includes(netId)) throw new HsmError('network_not_allowed')
  const accept = {
    joinNonce,
    netId,
    devAddr: devAddrFromBytes(command.devAddr),
    dlSettings: command.dlSettings,
    rxDelay,
  }
  return cfList === undefined ? accept : { ...accept, cfList }
}

function openNetworkKek(
  custody: Custody,
  device: DeviceRecord,
  accept: JoinAccept,
  record: Buffer | undefined,
): OpenKek | undefined {
  if (record === undefined) return undefined
  const kek = custody.keks.open(record, 'ns')
  if (kek.record.recipient !== accept.netId) throw new HsmError('kek_recipient_mismatch', 'network')
  checkOwner(device, kek)
  return kek
}

function openApplicationKek(custody: Custody, device: DeviceRecord, record: Buffer | undefined): OpenKek | undefined {
  return record === undefined ? undefined : openAllowedApplicationKek(custody, device, record)
}

/** An AS KEK whose recipient the device record names. */
export function openAllowedApplicationKek(custody: Custody, device: DeviceRecord, record: Buffer): OpenKek {
  const kek = custody.keks.open(record, 'as')
  if (!device.applicationServers.includes(kek.record.recipient)) throw new HsmError('recipient_not_allowed')
  checkOwner(device, kek)
  return kek
}

function checkOwner(device: DeviceRecord, kek: OpenKek): void {
  if (device.owner.compare(kek.record.owner, 0, OWNER_ID_BYTES) !== 0) throw new HsmError('owner_mismatch', 'KEK')
}

/** product.md J7: AppSKey goes to the network only where the owner's record says so, and then to it alone. */
function checkDeliveryToNetwork(device: DeviceRecord, command: JoinCommand, asKek: OpenKek | undefined): void {
  if (!command.appSKeyToNetwork) return
  if (!device.networkIsApplicationServer) throw new HsmError('recipient_not_allowed', 'network')
  if (asKek !== undefined) throw new HsmError('join_parameters_invalid', 'two AppSKey recipients')
}

function deliveryUse(command: JoinCommand, nsKek: OpenKek | undefined): 'read' | 'wrap' {
  return command.appSKeyToNetwork && nsKek === undefined ? 'read' : 'wrap'
}

/** What the receipt says of the AppSKey. */
function deliveryOf(command: JoinCommand, nsKek: OpenKek | undefined, asKek: OpenKek | undefined): AppSKeyDelivery {
  if (command.appSKeyToNetwork) return nsKek === undefined ? 'networkClear' : 'networkWrapped'
  return asKek === undefined ? 'none' : 'wrapped'
}

function release(token: Token, kek: OpenKek | undefined, key: TokenKey): Buffer {
  return kek === undefined ? token.read(key) : token.wrap(kek.key, key)
}

function releaseAppSKey(
  token: Token,
  command: JoinCommand,
  key: TokenKey,
  nsKek: OpenKek | undefined,
  asKek: OpenKek | undefined,
): Buffer | undefined {
  if (command.appSKeyToNetwork) return release(token, nsKek, key)
  return asKek === undefined ? undefined : token.wrap(asKek.key, key)
}

function recordSession(custody: Custody, device: DeviceRecord, sessionKeyId: Buffer, appSKey: TokenKey): Buffer {
  const { deviceId, owner } = device
  const session = { deviceId, sessionKeyId, owner, appSKey: custody.token.wrapForStorage(appSKey) }
  return encodeSessionRecord(session, custody.storageKeyId, (message) => custody.token.tag(message))
}

/** LoRaWAN 1.1 devices use NwkKey where 1.0.x devices use AppKey (LoRaWAN 1.1 §6.1.1.3, §6.2.5). */
function networkRootBlob(device: DeviceRecord): Buffer {
  return (device.nwkKey ?? device.appKey).rootUse
}

function verifyJoinRequestMic(token: Token, root: TokenKey, phyPayload: Buffer): void {
  const mic = token.cmac(root, joinRequestMicMessage(phyPayload)).subarray(0, MIC_BYTES)
  if (!timingSafeEqual(mic, phyPayload.subarray(phyPayload.length - MIC_BYTES))) throw new HsmError('mic_mismatch')
}

/** The keys and blocks of one join. Nothing is derived before `verifyMic` has returned. */
class Join {
  readonly #token: Token
  readonly #keys: KeyScope
  readonly #device: DeviceRecord
  readonly #request: JoinRequest
  readonly #accept: JoinAccept
  readonly #root: TokenKey
  /** LoRaWAN 1.1 §6.2.5: OptNeg says whether the 1.1 derivation is used; a 1.0 device does not know the bit. */
  readonly #is11: boolean

  constructor(token: Token, keys: KeyScope, device: DeviceRecord, request: JoinRequest, accept: JoinAccept) {
    this.#token = token
    this.#keys = keys
    this.#device = device
    this.#request = request
    this.#accept = accept
    this.#is11 = device.nwkKey !== undefined && hasOptNeg(accept.dlSettings)
    this.#root = keys.hold(token.openRoot(networkRootBlob(device)))
  }

  verifyMic(phyPayload: Buffer): void {
    verifyJoinRequestMic(this.#token, this.#root, phyPayload)
  }

  /** The join-accept: MIC, then AES *decryption*, so that a device needs AES encryption only (LoRaWAN 1.1 §6.2.5). */
  encryptAccept(): Buffer {
    const payload = encodeJoinAcceptPayload(this.#accept)
    const mic = this.#acceptMic(payload).subarray(0, MIC_BYTES)
    const encrypted = this.#token.decryptBlocks(this.#root, Buffer.concat([payload.subarray(1), mic]))
    return Buffer.concat([payload.subarray(0, 1), encrypted])
  }

  deriveSessionKeys(network: 'read' | 'wrap', app: 'read' | 'wrap'): { network: TokenKey[]; app: TokenKey } {
    return this.#is11 ? this.#deriveSessionKeys11(network, app) : this.#deriveSessionKeys10(network, app)
  }

  #acceptMic(payload: Uint8Array): Buffer {
    if (!this.#is11) return this.#token.cmac(this.#root, joinAcceptMicMessage10(payload))
    const { joinEui, devEui, devNonce } = this.#request
    const jsIntKey = this.#derive(this.#root, jsKeyBlock(KEY_TYPE.jsIntKey, devEui), 'mac')
    return this.#token.cmac(jsIntKey, joinAcceptMicMessage11(JOIN_REQUEST_TYPE, joinEui, devNonce, payload))
  }

  #deriveSessionKeys10(network: 'read' | 'wrap', app: 'read' | 'wrap'): { network: TokenKey[]; app: TokenKey } {
    const { joinNonce, netId } = this.#accept
    const { devNonce } = this.#request
    return {
      network: [this.#derive(this.#root, sessionKeyBlock10(KEY_TYPE.fNwkSIntKey, joinNonce, netId, devNonce), network)],
      app: this.#derive(this.#root, sessionKeyBlock10(KEY_TYPE.appSKey, joinNonce, netId, devNonce), app),
    }
  }

  #deriveSessionKeys11(network: 'read' | 'wrap', app: 'read' | 'wrap'): { network: TokenKey[]; app: TokenKey } {
    const { joinNonce } = this.#accept
    const { joinEui, devNonce } = this.#request
    const appRoot = this.#keys.hold(this.#token.openRoot(this.#device.appKey.rootUse))
    const networkTypes = [KEY_TYPE.fNwkSIntKey, KEY_TYPE.sNwkSIntKey, KEY_TYPE.nwkSEncKey]
    return {
      network: networkTypes.map((type) =>
        this.#derive(this.#root, sessionKeyBlock11(type, joinNonce, joinEui, devNonce), network),
      ),
      app: this.#derive(appRoot, sessionKeyBlock11(KEY_TYPE.appSKey, joinNonce, joinEui, devNonce), app),
    }
  }

  #derive(root: TokenKey, block: Uint8Array, use: 'read' | 'wrap' | 'mac'): TokenKey {
    return this.#keys.hold(this.#token.derive(root, block, use))
  }
}
