import { createHash, createPublicKey, type KeyObject, sign, verify } from 'node:crypto'
import type { OrderSignature } from '../contract/order.ts'
import type { Order } from './order.ts'

/** The order as the text that is signed: JSON with members in sorted order, no white space. */
export function orderText(order: Order): Buffer {
  return Buffer.from(JSON.stringify(order, sortMembers))
}

/** Id of a signing key: the first 16 bytes of SHA-256 over its SPKI (DER). */
export function signerId(publicKeySpki: Uint8Array): Buffer {
  return createHash('sha256').update(publicKeySpki).digest().subarray(0, 16)
}

/** Signs an order's text with an Ed25519 private key. */
export function signOrder(text: Buffer, privateKey: KeyObject): OrderSignature {
  const spki = createPublicKey(privateKey).export({ format: 'der', type: 'spki' })
  return { signer: signerId(spki), signature: sign(null, text, privateKey) }
}

/** Whether `publicKeySpki` made this signature over the order's text. */
export function verifyOrderSignature(text: Buffer, signature: OrderSignature, publicKeySpki: Buffer): boolean {
  if (!signature.signer.equals(signerId(publicKeySpki))) return false
  return verify(null, text, createPublicKey({ key: publicKeySpki, format: 'der', type: 'spki' }), signature.signature)
}

function sortMembers(_name: string, value: unknown): unknown {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value
  return Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)))
}
