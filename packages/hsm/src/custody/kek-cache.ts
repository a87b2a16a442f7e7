import { HsmError } from '../errors.ts'
import { decodeKekRecord, type KekKind, type KekRecord } from '../records/kek-record.ts'
import { verifyTag } from '../records/format.ts'
import type { Token, TokenKey } from '../token/token.ts'
import type { Floors } from './floors.ts'

const MAX_OPEN_KEKS = 1024

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
    const kek = this.#open.get(name) ?? this.#openNew(name, recordBytes)
    if (!this.#floors.accepts(kek.record.kekId, kek.record.recordVersion))
      throw new HsmError('record_superseded', 'KEK')
    if (kek.record.kind !== kind) throw new HsmError('kek_kind_mismatch', `${kind} expected`)
    return kek
  }

  #openNew(name: string, recordBytes: Buffer): OpenKek {
    // The frame's buffer is reused for nothing, but it is large: keep a copy of the record alone.
    const bytes = Buffer.from(recordBytes)
    const record = decodeKekRecord(bytes)
    verifyTag(bytes, this.#storageKeyId, (message) => this.#token.tag(message))
    if (this.#open.size >= MAX_OPEN_KEKS) this.#closeOldest()
    const kek = { record, key: this.#token.openKek(record.blob) }
    this.#open.set(name, kek)
    return kek
  }

  #closeOldest(): void {
    for (const [name, kek] of this.#open) {
      this.#open.delete(name)
      this.#token.close(kek.key)
      return
    }
  }
}
