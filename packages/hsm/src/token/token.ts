/**
 * The few primitives that every back end implements; LoRaWAN is written once over them, in `custody/`.
 *
 * A {@link TokenKey} is a key inside the token: it has no bytes to read. Methods are synchronous, because a worker
 * drives one session. All block operations are AES-ECB of whole 16-byte blocks; wrapping is AES key wrap (RFC 3394).
 */
declare const tokenKey: unique symbol

/** A handle of a key inside the token. It is good until {@link Token.close}. */
export interface TokenKey {
  readonly [tokenKey]: true
}

/**
 * What a derived key may do afterwards:
 * `wrap`: be wrapped under a KEK or for storage, never read; `read`: leave in clear (network session keys for a network
 * server without KEK); `mac`: make CMACs (JSIntKey); `decrypt`: decrypt blocks (JSEncKey).
 */
export type DerivedUse = 'wrap' | 'read' | 'mac' | 'decrypt'

/** A root key wrapped under root-use and under escrow, 24 bytes each. */
export interface WrappedRoot {
  readonly rootUse: Buffer
  readonly escrow: Buffer
}

export interface Token {
  /** AES-CMAC under the binding key over `message` (1 byte or more): 16 bytes. */
  tag(message: Uint8Array): Buffer

  /**
   * Opens a root key blob (24 bytes, AES-KW under root-use). The key can derive, make CMACs and decrypt blocks.
   * @throws HsmError key_blob_damaged
   */
  openRoot(blob: Uint8Array): TokenKey
  /**
   * Opens a KEK blob (size + 8 bytes, AES-KW under the session storage key). The key can wrap.
   * @throws HsmError key_blob_damaged
   */
  openKek(blob: Uint8Array): TokenKey
  /**
   * Opens an AppSKey blob (24 bytes, AES-KW under the session storage key). The key can be wrapped.
   * @throws HsmError key_blob_damaged
   */
  openAppSKey(blob: Uint8Array): TokenKey

  /** AES-ECB encryption of `block` (16 bytes) under `key`; the result is a new key that stays inside. */
  derive(key: TokenKey, block: Uint8Array, use: DerivedUse): TokenKey
  /** AES-CMAC (RFC 4493) over `message` (1 byte or more): 16 bytes. */
  cmac(key: TokenKey, message: Uint8Array): Buffer
  /** AES-ECB *decryption* of one or more blocks: how a join-accept is encrypted (LoRaWAN 1.0.4 §6.2.3). */
  decryptBlocks(key: TokenKey, blocks: Uint8Array): Buffer
  /** AES-KW of `key` under `kek`: 24 bytes for a session key. */
  wrap(kek: TokenKey, key: TokenKey): Buffer
  /** AES-KW of `key` under the session storage key: 24 bytes. */
  wrapForStorage(key: TokenKey): Buffer
  /** The 16 bytes of a key derived with use `read`. */
  read(key: TokenKey): Buffer
  /** Forgets a key. */
  close(key: TokenKey): void

  /**
   * Opens the transport key of an envelope: RSA-OAEP with SHA-1 over an AES-256 key, under the import private key.
   * @throws HsmError envelope_damaged
   */
  openTransport(ciphertext: Uint8Array): TokenKey
  /**
   * Takes in a root key (24 bytes, AES-KW under the transport key) without the host seeing it.
   * @throws HsmError envelope_damaged
   */
  importRoot(transport: TokenKey, wrapped: Uint8Array): WrappedRoot
  /**
   * Takes in a KEK (size + 8 bytes, AES-KW under the transport key): wrapped under the session storage key.
   * @throws HsmError envelope_damaged
   */
  importKek(transport: TokenKey, wrapped: Uint8Array): Buffer
  /** Makes a random 128-bit root key. */
  generateRoot(): WrappedRoot

  /** Ed25519 signature (64 bytes) by the receipt key. */
  sign(message: Uint8Array): Buffer

  /**
   * Known-answer test of the four storage keys against the values recorded when they were made.
   * @throws HsmError token_failed
   */
  verifyCheckValues(expected: CheckValues): void
  /** Objects made in the token since it was opened: what a worker's recycling counts. */
  readonly objectsMade: number
  [Symbol.dispose](): void
}

/** Known answers recorded when the storage keys were made. All values are public. */
export interface CheckValues {
  /** A random 128-bit key under root-use, and its CMAC over {@link CHECK_TEXT}. */
  readonly rootUseSentinel: Buffer
  readonly rootUseCmac: Buffer
  /** The same under the session storage key. */
  readonly sessionSentinel: Buffer
  readonly sessionCmac: Buffer
  /** The binding key's CMAC over {@link CHECK_TEXT}. */
  readonly bindingCmac: Buffer
  /** Escrow only wraps here: the session sentinel wrapped under it. */
  readonly escrowOfSentinel: Buffer
}

export const CHECK_TEXT = Buffer.from('mortise storage key check 1', 'ascii')

/** The four storage keys, 256 bits each, wrapped (AES-KW, 40 bytes each) under the 32-byte recovery key. */
export interface RecoveryBlobs {
  readonly rootUse: Buffer
  readonly session: Buffer
  readonly binding: Buffer
  readonly escrow: Buffer
}

/** What a back end hands over when its storage keys have been made. */
export interface CreatedToken<Settings> {
  /** What the sealed store must keep to open the token again. */
  readonly settings: Settings
  readonly recovery: RecoveryBlobs
  readonly checkValues: CheckValues
  /** RSA-3072 public key that the CLI seals keys to: SPKI, DER. */
  readonly importPublicKey: Buffer
  /** Ed25519 public key that signs receipt heads: SPKI, DER. */
  readonly receiptPublicKey: Buffer
}
