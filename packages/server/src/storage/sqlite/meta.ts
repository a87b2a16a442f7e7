import { StorageError } from '../ports.ts'
import type { Connection, Statement } from './connection.ts'
import { DEFAULT_ORGANISATION } from './organisation.ts'
import { blob, integer, optional } from './row.ts'

/** The single values of a database. */
export class MetaTable {
  readonly #organisation: Statement
  readonly #epoch: Statement
  readonly #raiseEpoch: Statement
  readonly #operator: Statement
  readonly #setOperator: Statement

  constructor(connection: Connection) {
    this.#organisation = connection.prepare('SELECT public_id FROM organisation WHERE id = ?')
    this.#epoch = connection.prepare('SELECT hsm_epoch FROM meta WHERE id = 1')
    // Never falls: a lower epoch is what the guard against a rolled-back key store looks for.
    this.#raiseEpoch = connection.prepare('UPDATE meta SET hsm_epoch = MAX(hsm_epoch, ?) WHERE id = 1')
    this.#operator = connection.prepare('SELECT operator_public_key FROM meta WHERE id = 1')
    this.#setOperator = connection.prepare('UPDATE meta SET operator_public_key = ? WHERE id = 1')
  }

  organisationId(): Buffer {
    const row = this.#organisation.get(DEFAULT_ORGANISATION)
    if (row === undefined) throw new StorageError('database_corrupt', 'no organisation')
    return blob(row, 'public_id')
  }

  hsmEpoch(): number {
    const row = this.#epoch.get()
    if (row === undefined) throw new StorageError('database_corrupt', 'no meta row')
    return integer(row, 'hsm_epoch')
  }

  raiseHsmEpoch(epoch: number): void {
    this.#raiseEpoch.run(epoch)
  }

  operatorPublicKey(): Buffer | undefined {
    const row = this.#operator.get()
    if (row === undefined) throw new StorageError('database_corrupt', 'no meta row')
    return optional(row, 'operator_public_key', blob)
  }

  setOperatorPublicKey(spki: Buffer): void {
    this.#setOperator.run(spki)
  }
}
