import { devEuiFromBytes, joinEuiFromBytes } from '@mortise/lorawan'
import { type JoinState, type KeySet, StorageError } from '../ports.ts'
import { decodeJoinRow } from './join-row.ts'
import { blob, integer, type Row } from './row.ts'

/**
 * Of a whole row of `key_set`, for those who administer it: one whose nonces are damaged can still be seen and removed.
 * @throws StorageError database_corrupt
 */
export function toKeySet(row: Row): KeySet {
  const state = readJoinState(row)
  return {
    keySet: integer(row, 'id'),
    devEui: devEuiFromBytes(blob(row, 'dev_eui')),
    joinEui: joinEuiFromBytes(blob(row, 'join_eui')),
    generation: integer(row, 'generation'),
    record: blob(row, 'record'),
    state: state === 'damaged' ? undefined : state,
    noncesDamaged: state === 'damaged',
  }
}

/** Of a row of `key_set`: `damaged` where {@link toJoinState} throws. */
export function readJoinState(row: Row): JoinState | 'damaged' | undefined {
  try {
    return toJoinState(row)
  } catch (error) {
    if (error instanceof StorageError && error.code === 'database_corrupt') return 'damaged'
    throw error
  }
}

/** Of a row of `key_set`; `undefined` before the first join. @throws StorageError database_corrupt */
export function toJoinState(row: Row): JoinState | undefined {
  return decodeJoinRow(integer(row, 'id'), integer(row, 'last_join_nonce'), blob(row, 'joins'))
}
