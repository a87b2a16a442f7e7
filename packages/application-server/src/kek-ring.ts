import { unwrapKey } from '#aes'
import type { KeyEnvelope } from '@mortise/backend-interfaces'
import { AppSKey } from './app-s-key.ts'
import { ApplicationServerError } from './errors.ts'
import { Secret } from './secret.ts'

/** 16 bytes of key, and 8 of integrity check (RFC 3394). */
const WRAPPED_SIZE = 24

/**
 * The KEKs that an owner shares with join servers, by their label on the wire. Each version of a KEK has a label of its
 * own, and the old one stays in the ring for as long as envelopes under it may still arrive.
 */
export class KekRing implements Disposable {
  readonly #keks = new Map<string, Secret>()

  /**
   * Copies a KEK of 16, 24 or 32 bytes into the ring.
   * @throws {ApplicationServerError} `kek_size`, `kek_label_invalid`, `kek_label_taken`
   */
  add(label: string, kek: Uint8Array): void {
    if (kek.length !== 16 && kek.length !== 24 && kek.length !== 32) {
      throw new ApplicationServerError('kek_size', `A KEK has 16, 24 or 32 bytes, not ${kek.length}.`)
    }
    if (label === '') throw new ApplicationServerError('kek_label_invalid', 'A KEK needs a label.')
    if (this.#keks.has(label)) {
      throw new ApplicationServerError('kek_label_taken', `The KEK label ${JSON.stringify(label)} is in use.`)
    }
    this.#keks.set(label, new Secret(kek))
  }

  get labels(): readonly string[] {
    return [...this.#keks.keys()]
  }

  /** Wipes a KEK that no envelope needs any more. @throws {ApplicationServerError} `kek_label_unknown` */
  remove(label: string): void {
    this.#find(label)[Symbol.dispose]()
    this.#keks.delete(label)
  }

  /**
   * Opens an AppSKey under the KEK that its label names. There is no fallback to another KEK or to clear keys.
   * @throws {ApplicationServerError} `key_in_clear`, `kek_label_unknown`, `envelope_size`, `key_wrap_integrity`
   */
  unwrapAppSKey(envelope: KeyEnvelope): AppSKey {
    if (envelope.kekLabel === undefined || envelope.kekLabel === '') {
      throw new ApplicationServerError('key_in_clear', 'The AppSKey came in clear, so the network can read it too.')
    }
    return this.#find(envelope.kekLabel).use((kek) => openEnvelope(envelope, kek))
  }

  [Symbol.dispose](): void {
    for (const kek of this.#keks.values()) kek[Symbol.dispose]()
    this.#keks.clear()
  }

  #find(label: string): Secret {
    const kek = this.#keks.get(label)
    if (kek !== undefined) return kek
    throw new ApplicationServerError('kek_label_unknown', `There is no KEK of the label ${JSON.stringify(label)}.`)
  }
}

function openEnvelope({ aesKey }: KeyEnvelope, kek: Uint8Array): AppSKey {
  if (aesKey.length !== WRAPPED_SIZE) {
    throw new ApplicationServerError('envelope_size', `A wrapped AppSKey has ${WRAPPED_SIZE} bytes.`)
  }
  const bytes = unwrapKey(kek, aesKey)
  if (bytes === undefined) {
    throw new ApplicationServerError('key_wrap_integrity', 'The envelope does not open under the KEK of its label.')
  }
  const appSKey = new AppSKey(bytes)
  bytes.fill(0)
  return appSKey
}
