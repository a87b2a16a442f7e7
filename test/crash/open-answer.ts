import { createHash } from 'node:crypto'
import { type JoinAns, type KeyEnvelope, parseJoinAns, unwrapKeyEnvelope } from '@mortise/backend-interfaces'
import { type BlockCipher, bytesToHex, cryptFOpts11, cryptFrmPayload, dataMic10, dataMic11Up } from '@mortise/lorawan'
import { createBlockCipher } from '@mortise/lorawan/node-aes'
import { type JoinResult, type SecureElement, SoftSecureElement } from '@mortise/simulator'
import type { FleetDevice } from './fleet.ts'
import type { JoinRequest } from './join-request.ts'
import type { JoinSuccess } from './key-set-model.ts'

/** KEKs by label, of every network and application server of the run. */
export type Keks = ReadonlyMap<string, Uint8Array>

export interface SuccessfulAnswer {
  readonly kind: 'success'
  readonly answer: Extract<JoinAns, { resultCode: 'Success' }>
  /** As {@link comparableText} makes it. */
  readonly comparable: string
}

export type ReadAnswer =
  | SuccessfulAnswer
  | { readonly kind: 'failure'; readonly resultCode: string; readonly description: string }

/** The device and the servers do not agree; the message names what about, and no key. */
export class DisagreementError extends Error {
  override readonly name = 'DisagreementError'
}

const FRAME = new Uint8Array(16).fill(0xa5)
const F_PORT = 1

/** Reads a JoinAns. @throws {AnswerError} what is none @throws DisagreementError another TransactionID */
export function readJoinAns(body: Uint8Array, transactionId: number): ReadAnswer {
  const answer = parseJoinAns(body)
  if (answer.transactionId !== transactionId) throw new DisagreementError('the TransactionID of another request')
  if (answer.resultCode === 'Success') return { kind: 'success', answer, comparable: comparableText(body) }
  return { kind: 'failure', resultCode: answer.resultCode, description: answer.description ?? '' }
}

/** Equal for two answers that have the same bytes but for the number of their TransactionID. */
export function comparableText(body: Uint8Array): string {
  const text = Buffer.from(body)
    .toString('latin1')
    .replace(/"TransactionID":\d+/, '"TransactionID":0')
  return createHash('sha256').update(text).digest('base64')
}

/**
 * Has the device take its join-accept, and compares every session key with the ones that went to the servers.
 * @throws DisagreementError
 */
export function openJoinAns(
  device: FleetDevice,
  request: JoinRequest,
  answer: SuccessfulAnswer,
  keks: Keks,
): Promise<JoinSuccess> {
  return device.inTurn(() => open(device, request, answer, keks))
}

async function open(
  device: FleetDevice,
  request: JoinRequest,
  { answer, comparable }: SuccessfulAnswer,
  keks: Keks,
): Promise<JoinSuccess> {
  const { sessionKeyId, appSKey } = answer
  if (sessionKeyId === undefined || appSKey === undefined) throw new DisagreementError('no AppSKey or SessionKeyID')
  const { secureElement, result } = await acceptOnDevice(device, request, answer.phyPayload)
  compareParameters(request, result)
  const appSKeyBytes = openEnvelope(appSKey, keks)
  await compareKeys(secureElement, request, result, networkCiphers(answer, keks), createBlockCipher(appSKeyBytes))
  return {
    joinNonce: result.joinNonce,
    sessionKeyId: bytesToHex(sessionKeyId),
    appSKey: bytesToHex(appSKeyBytes),
    comparable,
  }
}

/** The key of an envelope, in the clear only where it came so. @throws DisagreementError */
export function openEnvelope(envelope: KeyEnvelope, keks: Keks): Uint8Array {
  if (envelope.kekLabel === undefined) return envelope.aesKey
  const kek = keks.get(envelope.kekLabel)
  if (kek === undefined) throw new DisagreementError(`a KEK label that nobody has: ${envelope.kekLabel}`)
  return unwrapKeyEnvelope(envelope, kek)
}

interface Accepted {
  readonly secureElement: SecureElement
  readonly result: JoinResult
}

/** The device itself while it waits for this answer; a later answer is opened by its twin of that moment. */
async function acceptOnDevice(device: FleetDevice, request: JoinRequest, phyPayload: Uint8Array): Promise<Accepted> {
  const { identity, rootKeys } = device
  try {
    if (device.pending === request.devNonce) {
      device.pending = undefined
      return { secureElement: device.secureElement, result: await device.device.handleJoinAccept(phyPayload) }
    }
    const secureElement = new SoftSecureElement()
    secureElement.loadDevice(identity, rootKeys)
    await secureElement.signJoinRequest(identity.devEui, request.devNonce)
    return { secureElement, result: await secureElement.processJoinAccept(identity.devEui, phyPayload) }
  } catch (cause) {
    throw new DisagreementError(`the join-accept is refused: ${String(cause)}`, { cause })
  }
}

function compareParameters(request: JoinRequest, result: JoinResult): void {
  const { netId, devAddr, dlSettings, rxDelay, cfList } = result
  const same =
    netId === request.senderId &&
    devAddr === request.devAddr &&
    dlSettings === request.dlSettings &&
    rxDelay === request.rxDelay &&
    bytesToHex(cfList ?? new Uint8Array(0)) === bytesToHex(request.cfList ?? new Uint8Array(0))
  if (!same) throw new DisagreementError('the join-accept does not say what the network asked for')
}

interface NetworkCiphers {
  readonly fNwkSIntKey: BlockCipher
  readonly sNwkSIntKey: BlockCipher
  readonly nwkSEncKey: BlockCipher
}

function networkCiphers({ networkKeys }: SuccessfulAnswer['answer'], keks: Keks): NetworkCiphers {
  const cipherOf = (envelope: KeyEnvelope): BlockCipher => createBlockCipher(openEnvelope(envelope, keks))
  if ('nwkSKey' in networkKeys) {
    const nwkSKey = cipherOf(networkKeys.nwkSKey)
    return { fNwkSIntKey: nwkSKey, sNwkSIntKey: nwkSKey, nwkSEncKey: nwkSKey }
  }
  const { fNwkSIntKey, sNwkSIntKey, nwkSEncKey } = networkKeys
  return {
    fNwkSIntKey: cipherOf(fNwkSIntKey),
    sNwkSIntKey: cipherOf(sNwkSIntKey),
    nwkSEncKey: cipherOf(nwkSEncKey),
  }
}

/** The secure element gives no key out: equal keys show in equal frames. */
async function compareKeys(
  secureElement: SecureElement,
  { devEui }: JoinRequest,
  { devAddr, optNeg }: JoinResult,
  network: NetworkCiphers,
  appSKey: BlockCipher,
): Promise<void> {
  const frame = { direction: 'up', fPort: F_PORT, fCnt: 0, payload: FRAME } as const
  const encrypted = await secureElement.cryptFrmPayload(devEui, frame)
  requireEqual('AppSKey', encrypted, cryptFrmPayload(appSKey, 'up', devAddr, 0, FRAME))
  const macFrame = await secureElement.cryptFrmPayload(devEui, { ...frame, fPort: 0 })
  requireEqual('NwkSEncKey', macFrame, cryptFrmPayload(network.nwkSEncKey, 'up', devAddr, 0, FRAME))
  const inputs = { fCnt: 0, confFCnt: 0, txDr: 0, txCh: 0 }
  const mic = await secureElement.signUplink(devEui, { ...inputs, message: FRAME })
  const { fNwkSIntKey, sNwkSIntKey } = network
  const expected = optNeg
    ? dataMic11Up(fNwkSIntKey, sNwkSIntKey, { ...inputs, devAddr }, FRAME)
    : dataMic10(fNwkSIntKey, 'up', devAddr, 0, FRAME)
  requireEqual('the integrity keys', mic, expected)
  if (!optNeg) return
  const fOpts = { direction: 'up', counter: 'FCntUp', fCnt: 0, fOpts: FRAME.subarray(0, 8) } as const
  const crypted = await secureElement.cryptFOpts(devEui, fOpts)
  requireEqual('NwkSEncKey', crypted, cryptFOpts11(network.nwkSEncKey, 'up', 'FCntUp', devAddr, 0, fOpts.fOpts))
}

function requireEqual(what: string, device: Uint8Array, server: Uint8Array): void {
  if (!Buffer.from(device).equals(server)) throw new DisagreementError(`${what}: the device derives another one`)
}
