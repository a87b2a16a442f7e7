import { createHash, randomBytes } from 'node:crypto'
import type { AppliedOrder, ApplyOrderCommand, RecordChange } from '../contract/order.ts'
import { HsmError } from '../errors.ts'
import { envelopeDigest, parseEnvelope } from '../orders/envelope.ts'
import type { Order } from '../orders/order.ts'
import { parseOrder } from '../orders/parse-order.ts'
import { verifyOrderSignature } from '../orders/sign-order.ts'
import type { ReceiptEntry } from '../receipts/chain.ts'
import { decodeReceipt } from '../receipts/receipt.ts'
import { RECEIPT_SALT_BYTES } from '../records/device-record.ts'
import type { Custody } from './custody.ts'
import { type MadeRecords, makeRecords } from './make-records.ts'

/** What an order changes in the sealed store, for the supervisor to make durable. */
export interface OrderCommit {
  readonly signer: string
  readonly sequence: number
  readonly orderDigest: Buffer
  readonly changes: readonly RecordChange[]
  readonly receipt: Buffer
  /** Lowest record version still accepted, by record id. */
  readonly floors: ReadonlyMap<string, number>
  readonly newKeks: readonly NewKek[]
  /** The epoch that the operator accepts in place of the store's own. */
  readonly acceptedEpoch: number | undefined
}

/** A label that a KEK is to take, for ever. */
export interface NewKek {
  readonly kekId: string
  /** `kind recipient`: a space stands in neither. */
  readonly recipient: string
  readonly label: string
}

export interface OrderClaim {
  readonly signer: string
  readonly sequence: number
  readonly orderDigest: Buffer
  readonly newKeks: readonly NewKek[]
}

/** What the supervisor says to a claim: go on, or here is the outcome of the same order once more. */
export type ClaimAnswer =
  | { readonly kind: 'new'; readonly kekVersions: readonly number[] }
  | { readonly kind: 'repeated'; readonly applied: AppliedOrder }

/** The supervisor's side of an order: it alone writes the sealed store, one order at a time. */
export interface OrderLedger {
  /** @throws HsmError order_replayed, label_in_use, order_backlog_full, busy */
  claim(claim: OrderClaim): Promise<ClaimAnswer>
  /** Resolves with the new epoch when the store is durable and every worker knows the floors. */
  commit(commit: OrderCommit): Promise<number>
  /** Gives a claim back that will not be committed. */
  abandon(): void
}

/** Who may order, and of which HSM. */
export interface OrderAuthority {
  readonly hsmId: Buffer
  readonly operatorPublicKey: Buffer
}

/**
 * Carries out a signed order, whole or not at all. The same order again, before its outcome was acknowledged, gets the
 * same outcome, in another boot with another receipt.
 * @throws HsmError order_*, envelope_damaged, record_*, label_in_use
 */
export async function applyOrder(
  custody: Custody,
  authority: OrderAuthority,
  ledger: OrderLedger,
  command: ApplyOrderCommand,
): Promise<AppliedOrder> {
  const order = authenticateOrder(authority, command)
  const newKeks = order.changes.flatMap((change) =>
    change.action === 'kek.set'
      ? [{ kekId: change.kek, recipient: `${change.kind} ${change.recipient}`, label: change.label }]
      : [],
  )
  const orderDigest = createHash('sha256').update(command.text).digest()
  const claim = { signer: order.signer, sequence: order.sequence, orderDigest, newKeks }
  const claimed = await ledger.claim(claim)
  if (claimed.kind === 'repeated') return inThisBoot(custody, claimed.applied, receiptEntry(command.text, newKeks))
  let made: Made
  try {
    made = carryOut(custody, order, claim, claimed.kekVersions, command)
  } catch (error) {
    // Only here: once `commit` was asked for, the ledger itself ends the claim, and the next one may be this worker's too.
    ledger.abandon()
    throw error
  }
  const { changes, floors, receipt } = made
  const epochAccept = order.changes.find((change) => change.action === 'epoch.accept')
  const epoch = await ledger.commit({ ...claim, changes, receipt, floors, acceptedEpoch: epochAccept?.epoch })
  return { changes, epoch, receipt }
}

interface Made extends MadeRecords {
  readonly receipt: Buffer
}

/**
 * An outcome of an earlier boot with a receipt of this one: its own may stand behind others that were lost when all
 * processes died, and what the database has of a chain is to be its beginning.
 */
function inThisBoot(custody: Custody, applied: AppliedOrder, entry: ReceiptEntry): AppliedOrder {
  if (decodeReceipt(applied.receipt).bootEpoch === custody.receipts.bootEpoch) return applied
  return { ...applied, receipt: custody.receipts.append(entry) }
}

/** Everything that the token does for an order, and the receipt of it. */
function carryOut(
  custody: Custody,
  order: Order,
  claim: OrderClaim,
  kekVersions: readonly number[],
  command: ApplyOrderCommand,
): Made {
  const { changes, floors } = makeRecords(custody, order, kekVersions, {
    envelope: command.envelope === undefined ? undefined : parseEnvelope(command.envelope),
    records: command.records,
    newSalt: () => randomBytes(RECEIPT_SALT_BYTES),
  })
  return { changes, floors, receipt: custody.receipts.append(receiptEntry(command.text, claim.newKeks)) }
}

function receiptEntry(text: Buffer, newKeks: readonly NewKek[]): ReceiptEntry {
  const kekIds = newKeks.map(({ kekId }) => Buffer.from(kekId, 'hex')).slice(0, MAX_RECEIPT_KEKS)
  return { operation: 'applyOrder', subject: text, device: undefined, kekIds, appSKey: 'none' }
}

/** The receipt names the first KEKs of an order; all of them stand in the order, whose digest it has. */
const MAX_RECEIPT_KEKS = 8

/** Signature, signer, HSM, envelope: nothing in the token happens before these hold. */
function authenticateOrder(authority: OrderAuthority, command: ApplyOrderCommand): Order {
  const [signature, ...more] = command.signatures
  if (signature === undefined || more.length > 0)
    throw new HsmError('order_signature_invalid', 'one signature expected')
  if (!verifyOrderSignature(command.text, signature, authority.operatorPublicKey))
    throw new HsmError('order_signature_invalid')
  const order = parseOrder(command.text)
  if (order.signer !== signature.signer.toString('hex')) throw new HsmError('order_signature_invalid', 'signer')
  if (order.hsm !== authority.hsmId.toString('hex')) throw new HsmError('order_for_other_hsm')
  const digest = command.envelope === undefined ? undefined : envelopeDigest(command.envelope)
  if (order.envelope !== digest) throw new HsmError('envelope_damaged', 'not the envelope that the order names')
  return order
}
