import { HsmError } from '../errors.ts'
import { decodeKekRecord, type KekKind, type KekRecord } from '../records/kek-record.ts'
import { verifyTag } from '../records/format.ts'
import type { Token, TokenKey } from '../token/token.ts'
import type { Floors } from './floors.ts'

export const MAX_OPEN_KEKS = 1024

export interface OpenKek {
  readonly record: KekRecord
  readonly key: TokenKey
}

/**
 * KEKs opened from genuine records, kept open because every join of a network uses the same two. The whole record is the
 * cache's key: a record that differs in one bit is verified anew.
 */
export class KekCache {
  readonly #token: Token
  readonly #storageKeyId: Buffer
  readonly #floors: Floors
  readonly #open = new Map<string, OpenKek>()

  constructor(token: Token, storageKeyId: Buffer, floors: Floors) {
    this.#token = token
    this.#storageKeyId = storageKeyId
    this.#floors = floors
  }

  /**
   * The KEK of a record, which must be genuine, current and of the given kind.
   * @throws HsmError record_*, storage_key_unknown, kek_kind_mismatch, key_blob_damaged
   */
  open(recordBytes: Buffer, kind: KekKind): OpenKek {
    const name = recordBytes.toString('latin1')
    const kek = this.#take(name) ?? this.#openGenuine(recordBytes)
    if (!this.#floors.accepts(kek.record.kekId, kek.record.recordVersion)) {
      this.#token.close(kek.key)
      throw new HsmError('record_superseded', 'KEK')
    }
    this.#keep(name, kek)
    if (kek.record.kind !== kind) throw new HsmError('kek_kind_mismatch', `${kind} expected`)
    return kek
  }

  /** Out of the map, so that {@link #keep} puts it at the end: the first one is the one not used for longest. */
  #take(name: string): OpenKek | undefined {
    const kek = this.#open.get(name)
    this.#open.delete(name)
    return kek
  }

  #openGenuine(recordBytes: Buffer): OpenKek {
    // The frame's buffer is reused for nothing, but it is large: keep a copy of the record alone.
    const bytes = Buffer.from(recordBytes)
    const record = decodeKekRecord(bytes)
    verifyTag(bytes, this.#storageKeyId, (message) => this.#token.tag(message))
    return { record, key: this.#token.openKek(record.blob) }
  }

  #keep(name: string, kek: OpenKek): void {
    this.#open.set(name, kek)
    if (this.#open.size <= MAX_OPEN_KEKS) return
    for (const [oldest, { key }] of this.#open) {
      this.#open.delete(oldest)
      this.#token.close(key)
      return
    }
  }
}
