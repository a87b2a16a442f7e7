import { type Order, type OrderSignature, parseOrder, verifyOrderSignature } from '@mortise/hsm'
import type { NewOrder } from '../storage/index.ts'
import type { SubmittedOrder, SubmittedSignature } from './administration.ts'
import { AdministrationError } from './errors.ts'
import { readCertificate, refuseExpired } from './peer-certificates.ts'

/**
 * How far a sequence number may run ahead of the highest one known: one order with the highest number of all, signed by
 * mistake, would leave none for those after it.
 */
const MAX_SEQUENCE_GAP = 1000

/** An order goes to the HSM in one frame of at most 4 MiB, together with the records that it replaces. */
const MAX_ENVELOPE_LENGTH = 256 * 1024

/** What the server knows when an order comes in. */
export interface AdmissionContext {
  /** SPKI, DER: of the operator whom the database knows. */
  readonly operatorPublicKey: Buffer | undefined
  /** SPKI, DER: of the operator whom the HSM obeys; undefined until it was first reached. */
  readonly hsmOperatorPublicKey: Buffer | undefined
  /** Highest sequence number seen of the operator, in the database or by the HSM. */
  readonly highestSequence: number
  /** Highest epoch of the HSM's store that the database has seen. */
  readonly hsmEpoch: number
  readonly nowMs: number
}

/** An order that may be stored. */
export interface AdmittedOrder {
  readonly order: Order
  readonly stored: NewOrder
}

/**
 * Checks of an order that need neither the HSM nor the state of the database, and those that depend on the clock: what
 * fails here is not stored, and takes no sequence number from the operator. The HSM checks again what matters to it.
 * @throws AdministrationError operator_unknown, operator_mismatch, order_signature_invalid, order_sequence_gap,
 *   order_epoch_too_low, envelope_damaged, certificate_malformed, certificate_expired; HsmError order_malformed
 */
export function admitOrder(submitted: SubmittedOrder, context: AdmissionContext): AdmittedOrder {
  const operatorPublicKey = operatorOf(context)
  const text = Buffer.from(submitted.text)
  const order = parseOrder(text)
  const signatures = submitted.signatures.map(readSignature)
  checkSignature(text, order, signatures, operatorPublicKey)
  const signer = Buffer.from(order.signer, 'hex')
  checkSequence(order, context.highestSequence)
  checkEpoch(order, context.hsmEpoch)
  const certificates = submitted.certificates ?? []
  for (const pem of certificates) refuseExpired(readCertificate(pem), context.nowMs)
  const envelope = readEnvelope(submitted.envelope)
  return { order, stored: { signer, sequence: order.sequence, text, signatures, envelope, certificates } }
}

/** Without the key anybody could fill the places of waiting orders, and use up the operator's sequence numbers. */
function operatorOf({ operatorPublicKey, hsmOperatorPublicKey }: AdmissionContext): Buffer {
  if (operatorPublicKey === undefined)
    throw new AdministrationError('operator_unknown', 'the database was made without the operator key')
  if (hsmOperatorPublicKey !== undefined && !hsmOperatorPublicKey.equals(operatorPublicKey))
    throw new AdministrationError('operator_mismatch', 'the HSM and the database are not of one installation')
  return operatorPublicKey
}

function readSignature({ signer, signature }: SubmittedSignature): OrderSignature {
  if (!/^[0-9a-f]{32}$/.test(signer) || !/^[0-9a-f]{128}$/.test(signature))
    throw new AdministrationError('order_signature_invalid', 'form')
  return { signer: Buffer.from(signer, 'hex'), signature: Buffer.from(signature, 'hex') }
}

/** Exactly one signature, by the signer whom the text names, who is the operator. */
function checkSignature(
  text: Buffer,
  order: Order,
  signatures: readonly OrderSignature[],
  operatorPublicKey: Buffer,
): void {
  const [signature, ...more] = signatures
  if (signature === undefined || more.length > 0)
    throw new AdministrationError('order_signature_invalid', 'one signature expected')
  if (signature.signer.toString('hex') !== order.signer)
    throw new AdministrationError('order_signature_invalid', 'signer')
  if (!verifyOrderSignature(text, signature, operatorPublicKey))
    throw new AdministrationError('order_signature_invalid', 'not signed by the operator key of this installation')
}

function checkSequence({ sequence }: Order, highest: number): void {
  if (sequence > highest + MAX_SEQUENCE_GAP)
    throw new AdministrationError('order_sequence_gap', `${sequence} is far above ${highest}`)
}

/** A store that stays below the epoch which the database knows would stay refused. */
function checkEpoch({ changes }: Order, hsmEpoch: number): void {
  for (const change of changes)
    if (change.action === 'epoch.accept' && change.epoch < hsmEpoch)
      throw new AdministrationError('order_epoch_too_low', `the database has seen epoch ${hsmEpoch}`)
}

function readEnvelope(envelope: string | undefined): Buffer | undefined {
  if (envelope === undefined) return undefined
  if (envelope.length > MAX_ENVELOPE_LENGTH) throw new AdministrationError('envelope_damaged', 'size')
  return Buffer.from(envelope)
}
