import { type Change, envelopeDigest, type Order, ORDER_FORMAT, orderText, sealEnvelope, signOrder } from '@mortise/hsm'
import type { Administration, OrderReport, SubmittedOrder } from '@mortise/server'
import { CliError, errorCode, messageOf } from './errors.ts'
import type { CreatedPaths } from './init/created-paths.ts'
import type { Operator } from './operator.ts'
import { highestSigned, recordSigned } from './sequence-file.ts'

/** What goes along with the changes of an order. */
export interface OrderMaterial {
  /** Root keys and KEKs in clear, 16, 24 or 32 bytes each; changes name them by index. */
  readonly keys?: readonly Uint8Array[]
  /** Client certificates (PEM) that `peer.add` names by fingerprint. */
  readonly certificates?: readonly string[]
  /** What was made for the order, a private key that it names for instance. */
  readonly files?: Pick<CreatedPaths, 'keep'>
}

/** Somebody else may take the number that this command was about to use: another command, or the same key elsewhere. */
const MAX_ATTEMPTS = 5
const SEQUENCE_TAKEN = new Set(['order_replayed', 'order_sequence_taken'])

/** The order was sent, and what came back says nothing of it: it may be in effect. */
const NO_ANSWER = new Set(['server_unreachable', 'http_failed', 'answer_malformed'])

/** Builds, seals, signs and submits orders of one operator, one after another. */
export class OrderDesk {
  readonly #administration: Pick<Administration, 'status' | 'submitOrder'>
  readonly #operator: Operator
  #nextSequence: number | undefined

  constructor(administration: Pick<Administration, 'status' | 'submitOrder'>, operator: Operator) {
    this.#administration = administration
    this.#operator = operator
  }

  /** 32 hex digits: the owner of what is added. */
  get owner(): string {
    return this.#operator.hsm.organisationId
  }

  /**
   * Submits one order.
   * @throws what the administration throws when the order is refused; CliError order_outcome_unknown, and then `files` stay
   */
  async submit(changes: readonly Change[], material: OrderMaterial = {}): Promise<OrderReport> {
    const { keys = [], certificates = [], files } = material
    const envelope = keys.length === 0 ? undefined : sealEnvelope(this.#operator.importPublicKey, keys)
    for (let attempt = 1; ; attempt++) {
      const sequence = await this.#takeSequence()
      try {
        return await this.#administration.submitOrder(this.#sign(sequence, changes, envelope, certificates))
      } catch (error) {
        const code = errorCode(error) ?? ''
        if (NO_ANSWER.has(code)) throw outcomeUnknown(error, files)
        if (!SEQUENCE_TAKEN.has(code) || attempt === MAX_ATTEMPTS) throw error
        this.#nextSequence = undefined
      }
    }
  }

  #sign(
    sequence: number,
    changes: readonly Change[],
    envelope: Buffer | undefined,
    certificates: readonly string[],
  ): SubmittedOrder {
    const order: Order = {
      format: ORDER_FORMAT,
      hsm: this.#operator.hsm.hsmId,
      signer: this.#operator.signer,
      sequence,
      issuedAt: new Date().toISOString(),
      ...(envelope !== undefined && { envelope: envelopeDigest(envelope) }),
      changes,
    }
    const text = orderText(order)
    const { signer, signature } = signOrder(text, this.#operator.privateKey)
    return {
      text: text.toString(),
      signatures: [{ signer: signer.toString('hex'), signature: signature.toString('hex') }],
      ...(envelope !== undefined && { envelope: envelope.toString() }),
      ...(certificates.length > 0 && { certificates: [...certificates] }),
    }
  }

  async #takeSequence(): Promise<number> {
    const asked = this.#nextSequence ?? (await this.#askSequence())
    const sequence = Math.max(asked, highestSigned(this.#operator.sequenceFile) + 1)
    recordSigned(this.#operator.sequenceFile, sequence)
    this.#nextSequence = sequence + 1
    return sequence
  }

  async #askSequence(): Promise<number> {
    const { hsm, nextSequence } = await this.#administration.status()
    const thumbprint = hsm.importKeyThumbprint
    // Sealed to the pinned key, the keys would be lost on another HSM; and the server may not choose the key.
    if (thumbprint !== undefined && thumbprint !== this.#operator.hsm.importKeyThumbprint)
      throw new CliError(
        'import_key_mismatch',
        'the server shows another HSM than the one pinned beside the operator key',
        {
          hint: 'check --data, --url and --operator-key-file; if they are right, do not send keys to this server',
        },
      )
    if (Number.isSafeInteger(nextSequence) && nextSequence >= 1) return nextSequence
    throw new CliError('server_answer_malformed', 'the server names no sequence number for the next order')
  }
}

function outcomeUnknown(cause: unknown, files: OrderMaterial['files']): CliError {
  files?.keep()
  return new CliError('order_outcome_unknown', `it is not known what became of the order: ${messageOf(cause)}`, {
    hint: '`mortise status` and the lists show it; files that were made for it are still there',
    cause,
  })
}

/** A sentence about what became of an order. */
export function outcome({ state, orderId }: OrderReport, { online }: { readonly online: boolean }): string {
  if (state === 'adopted') return 'It is in effect.'
  const when = online ? 'as soon as the HSM is ready' : 'when the server next starts with its HSM unsealed'
  return `It waits as order ${orderId} and takes effect ${when}; \`mortise status\` shows what became of it.`
}
