import { devAddrFromBytes, devEuiFromBytes, joinEuiFromBytes, netIdFromBytes } from '@mortise/lorawan'
import type { JoinState, KeySet, Session } from '../ports.ts'
import { blob, integer, optional, type Row } from './row.ts'

/** Selects live key sets, each with its nonces where it has joined; {@link toKeySet} reads a row of it. */
export const SELECT_KEY_SETS = `
  SELECT key_set.id, device.device_id, key_set.dev_eui, key_set.join_eui, key_set.generation, key_set.record,
    join_state.last_join_nonce, join_state.dev_nonces, join_state.request_digest, join_state.dev_nonce,
    join_state.session_key_id, join_state.ns_kek_id, join_state.as_kek_id, join_state.net_id, join_state.dev_addr,
    join_state.joined_at
  FROM key_set
  JOIN device ON device.id = key_set.device
  LEFT JOIN join_state ON join_state.key_set = key_set.id
  WHERE key_set.live = 1`

export function toKeySet(row: Row): KeySet {
  return {
    keySet: integer(row, 'id'),
    deviceId: blob(row, 'device_id'),
    devEui: devEuiFromBytes(blob(row, 'dev_eui')),
    joinEui: joinEuiFromBytes(blob(row, 'join_eui')),
    generation: integer(row, 'generation'),
    record: blob(row, 'record'),
    state: optional(row, 'last_join_nonce', toJoinState),
  }
}

function toJoinState(row: Row): JoinState {
  const lastJoinNonce = integer(row, 'last_join_nonce')
  return {
    lastJoinNonce,
    devNonces: blob(row, 'dev_nonces'),
    last: {
      requestDigest: blob(row, 'request_digest'),
      devNonce: integer(row, 'dev_nonce'),
      joinNonce: lastJoinNonce,
      sessionKeyId: blob(row, 'session_key_id'),
      nsKekId: optional(row, 'ns_kek_id', blob),
      asKekId: optional(row, 'as_kek_id', blob),
      netId: netIdFromBytes(blob(row, 'net_id')),
      devAddr: devAddrFromBytes(blob(row, 'dev_addr')),
      joinedAt: integer(row, 'joined_at'),
    },
  }
}

export function toSession(row: Row): Session {
  return {
    sessionKeyId: blob(row, 'session_key_id'),
    joinNonce: integer(row, 'join_nonce'),
    netId: netIdFromBytes(blob(row, 'net_id')),
    devAddr: devAddrFromBytes(blob(row, 'dev_addr')),
    createdAt: integer(row, 'created_at'),
    record: blob(row, 'record'),
  }
}
