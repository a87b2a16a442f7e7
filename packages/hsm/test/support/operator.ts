import type { KeyObject } from 'node:crypto'
import { createPublicKey, randomBytes } from 'node:crypto'
import type { CreatedHsm } from '../../src/ceremony/create-hsm.ts'
import type { ApplyOrderCommand } from '../../src/contract/order.ts'
import { envelopeDigest, sealEnvelope } from '../../src/orders/envelope.ts'
import { type Change, type Order, ORDER_FORMAT } from '../../src/orders/order.ts'
import { orderText, signerId, signOrder } from '../../src/orders/sign-order.ts'

/** A new id of a device, KEK, owner or peer: 32 hex digits. */
export function newId(): string {
  return randomBytes(16).toString('hex')
}

/** Who holds the operator key: makes signed orders, with the keys in an envelope. */
export class Operator {
  readonly #key: KeyObject
  readonly #hsm: CreatedHsm
  sequence = 0

  constructor(key: KeyObject, hsm: CreatedHsm) {
    this.#key = key
    this.#hsm = hsm
  }

  get signer(): Buffer {
    return signerId(createPublicKey(this.#key).export({ format: 'der', type: 'spki' }))
  }

  /** The order's members, for a test that changes one before it signs. */
  draft(changes: readonly Change[], envelope?: Buffer): Order {
    return {
      format: ORDER_FORMAT,
      hsm: this.#hsm.hsmId,
      signer: this.signer.toString('hex'),
      sequence: ++this.sequence,
      issuedAt: '2026-01-02T03:04:05.678Z',
      ...(envelope && { envelope: envelopeDigest(envelope) }),
      changes,
    }
  }

  seal(keys: readonly Buffer[]): Buffer {
    return sealEnvelope(this.#hsm.importPublicKey, keys)
  }

  sign(order: Order, envelope?: Buffer, records: readonly Buffer[] = []): ApplyOrderCommand {
    return this.signText(orderText(order), envelope, records)
  }

  signText(text: Buffer, envelope?: Buffer, records: readonly Buffer[] = []): ApplyOrderCommand {
    return { text, signatures: [signOrder(text, this.#key)], envelope, records }
  }

  /** A complete order. `keys` are what the changes name by index, `records` what they replace or remove. */
  order(changes: readonly Change[], keys: readonly Buffer[] = [], records: readonly Buffer[] = []): ApplyOrderCommand {
    const envelope = keys.length === 0 ? undefined : this.seal(keys)
    return this.sign(this.draft(changes, envelope), envelope, records)
  }
}
