import { devAddrFromBytes, eui64ToBytes, type JoinAccept, MAX_JOIN_NONCE, netIdFromBytes } from '@mortise/lorawan'
import type { JoinAnswer, JoinCommand, VerifyJoinRequestCommand } from '../contract/join.ts'
import { HsmError } from '../errors.ts'
import type { AppSKeyDelivery } from '../receipts/receipt.ts'
import { type DeviceRecord, OWNER_ID_BYTES } from '../records/device-record.ts'
import { encodeSessionRecord, SESSION_KEY_ID_BYTES } from '../records/session-record.ts'
import type { Token, TokenKey } from '../token/token.ts'
import { Activation, isRejoin, readActivationRequest } from './activation.ts'
import { type Custody, openDeviceRecord } from './custody.ts'
import type { OpenKek } from './kek-cache.ts'
import { withKeys } from './key-scope.ts'

const CF_LIST_BYTES = 16
const MAX_RX_DELAY = 15

/**
 * Answers a join or a rejoin inside the trust boundary: genuine record, MIC, join-accept, session keys, wrapping. What
 * decides is in the records; the command cannot choose a version, a key or a recipient.
 * @throws HsmError record_*, eui_mismatch, mic_mismatch, network_not_allowed, kek_*, recipient_not_allowed,
 *   owner_mismatch, join_*, rejoin_unsupported
 */
export function answerJoin(custody: Custody, command: JoinCommand): JoinAnswer {
  const device = openDeviceRecord(custody, command.deviceRecord)
  const request = readActivationRequest(device, command.phyPayload)
  const accept = readJoinAccept(device, command)
  const nsKek = openNetworkKek(custody, device, accept, command.nsKekRecord)
  const asKek = openApplicationKek(custody, device, command.asKekRecord)
  checkDeliveryToNetwork(device, command, asKek)
  return withKeys(custody.token, (keys) => {
    const activation = new Activation(custody.token, keys, device, request)
    activation.verifyMic()
    const networkUse = nsKek === undefined ? 'read' : 'wrap'
    const sessionKeys = activation.deriveSessionKeys(accept, networkUse, deliveryUse(command, nsKek))
    const sessionKeyId = sessionKeyIdOf(device, accept.joinNonce)
    return {
      phyPayload: activation.encryptAccept(accept),
      networkKeys: sessionKeys.network.map((key) => release(custody.token, nsKek, key)),
      appSKey: releaseAppSKey(custody.token, command, sessionKeys.app, nsKek, asKek),
      sessionKeyId,
      sessionRecord: recordSession(custody, device, sessionKeyId, sessionKeys.app),
      receipt: custody.receipts.append({
        operation: isRejoin(request) ? 'answerRejoin' : 'answerJoin',
        subject: command.deviceRecord,
        device: { receiptSalt: device.receiptSalt, devEui: eui64ToBytes(device.devEui) },
        kekIds: [nsKek, asKek].flatMap((kek) => (kek === undefined ? [] : [kek.record.kekId])),
        appSKey: deliveryOf(command, nsKek, asKek),
      }),
    }
  })
}

/**
 * Checks the MIC of a join-request, or of a rejoin-request of type 1, and derives nothing of a session.
 * @throws HsmError record_*, eui_mismatch, mic_mismatch, join_request_malformed, rejoin_unsupported
 */
export function verifyJoinRequest(custody: Custody, command: VerifyJoinRequestCommand): void {
  const device = openDeviceRecord(custody, command.deviceRecord)
  const request = readActivationRequest(device, command.phyPayload)
  withKeys(custody.token, (keys) => {
    new Activation(custody.token, keys, device, request).verifyMic()
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
  if (command.appSKeyToNetwork === 'no') return
  if (!device.networkIsApplicationServer) throw new HsmError('recipient_not_allowed', 'network')
  if (asKek !== undefined) throw new HsmError('join_parameters_invalid', 'two AppSKey recipients')
}

/** The KEK under which the network gets the AppSKey; undefined where it gets none, or gets it in clear. */
function appSKeyNetworkKek({ appSKeyToNetwork }: JoinCommand, nsKek: OpenKek | undefined): OpenKek | undefined {
  return appSKeyToNetwork === 'likeNetworkKeys' ? nsKek : undefined
}

function deliveryUse(command: JoinCommand, nsKek: OpenKek | undefined): 'read' | 'wrap' {
  const toNetwork = command.appSKeyToNetwork !== 'no'
  return toNetwork && appSKeyNetworkKek(command, nsKek) === undefined ? 'read' : 'wrap'
}

/** What the receipt says of the AppSKey. */
function deliveryOf(command: JoinCommand, nsKek: OpenKek | undefined, asKek: OpenKek | undefined): AppSKeyDelivery {
  if (command.appSKeyToNetwork === 'no') return asKek === undefined ? 'none' : 'wrapped'
  return appSKeyNetworkKek(command, nsKek) === undefined ? 'networkClear' : 'networkWrapped'
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
  if (command.appSKeyToNetwork !== 'no') return release(token, appSKeyNetworkKek(command, nsKek), key)
  return asKek === undefined ? undefined : token.wrap(asKek.key, key)
}

function recordSession(custody: Custody, device: DeviceRecord, sessionKeyId: Buffer, appSKey: TokenKey): Buffer {
  const { deviceId, owner } = device
  const session = { deviceId, sessionKeyId, owner, appSKey: custody.token.wrapForStorage(appSKey) }
  return encodeSessionRecord(session, custody.storageKeyId, (message) => custody.token.tag(message))
}
