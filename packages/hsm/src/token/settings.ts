/**
 * What the sealed store keeps to open each kind of token again. Everything here is as secret as the store: it is written
 * only sealed, and never logged.
 */

/** The software token: the storage keys and private keys themselves. */
export interface SoftSettings {
  readonly kind: 'soft'
  /** The four storage keys, AES-256, 32 bytes each. */
  readonly rootUse: Buffer
  readonly session: Buffer
  readonly binding: Buffer
  readonly escrow: Buffer
  /** RSA-3072 private key that opens envelopes: PKCS #8, DER. */
  readonly importPrivateKey: Buffer
  /** Ed25519 private key that signs receipt heads: PKCS #8, DER. */
  readonly receiptPrivateKey: Buffer
}

/** A PKCS #11 token: where to find the objects. The PIN is not kept here. */
export interface Pkcs11Settings {
  readonly kind: 'pkcs11'
  /** Absolute path of the PKCS #11 library. */
  readonly module: string
  readonly tokenLabel: string
  /** What the labels of this HSM's objects begin with. */
  readonly objectPrefix: string
  /** The binding key, AES-KW under a key of the token (40 bytes). */
  readonly bindingBlob: Buffer
}

export type BackendSettings = SoftSettings | Pkcs11Settings

/** The key of the recovery file, under which the storage keys leave when they are made. */
export const RECOVERY_KEY_BYTES = 32
