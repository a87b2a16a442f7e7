import { DatabaseSync } from 'node:sqlite'
import {
  type DevEui,
  devNonceRule,
  eui64ToBytes,
  type JoinEui,
  type MacVersion,
  type NetId,
  parseDevAddr,
  parseNetId,
} from '@mortise/lorawan'
import { addDevNonce } from '../../packages/server/src/join/index.ts'
import type { JoinState } from '../../packages/server/src/storage/index.ts'
import { encodeInheritedRow } from '../../packages/server/src/storage/sqlite/join-row.ts'

export interface SeededDevice {
  readonly devEui: DevEui
  readonly joinEui: JoinEui
  readonly macVersion: MacVersion
  /** The first has the session. */
  readonly networks: readonly NetId[]
}

export interface Nonces {
  readonly lastJoinNonce: number
  readonly usedDevNonces: readonly number[]
}

/** A history that holds no DevNonce: a bitmap (join/dev-nonces.ts) without a bit. */
const NO_DEV_NONCES = Buffer.concat([Buffer.of(3), Buffer.alloc(8192)])

/**
 * The nonces of the devices in the database of a server, written behind its back: there is no command that sets them,
 * because a JoinNonce or a DevNonce that comes twice gives session keys that came before.
 */
export class NonceSeeder implements Disposable {
  readonly #database: DatabaseSync

  constructor(path: string) {
    this.#database = new DatabaseSync(path, { timeout: 5000 })
  }

  /**
   * A device that has never joined where there is nothing to seed. A root key that was here before has brought its nonces
   * back with it: they go.
   */
  seed(device: SeededDevice, { lastJoinNonce, usedDevNonces }: Nonces): void {
    const keySet = this.#keySet(device)
    const update = this.#database.prepare('UPDATE key_set SET last_join_nonce = ?, joins = ? WHERE id = ?')
    if (lastJoinNonce === 0 && usedDevNonces.length === 0) {
      update.run(0, Buffer.alloc(0), keySet)
      return
    }
    // A device whose DevNonces are used has joined, so its JoinNonce is not below the first one.
    const joinNonce = Math.max(lastJoinNonce, 1)
    update.run(joinNonce, encodeInheritedRow(keySet, seededState(device, joinNonce, usedDevNonces)), keySet)
  }

  /** Everything that a join changes, as one text to compare; its JoinNonce is 0 before the first join. */
  read(device: SeededDevice): { readonly lastJoinNonce: number; readonly state: string } {
    const row = this.#database.prepare('SELECT * FROM key_set WHERE id = ?').get(this.#keySet(device))
    return { lastJoinNonce: Number(row?.['last_join_nonce'] ?? 0), state: JSON.stringify(row ?? null) }
  }

  [Symbol.dispose](): void {
    this.#database.close()
  }

  #keySet({ devEui, joinEui }: SeededDevice): number {
    const row = this.#database
      .prepare('SELECT id FROM key_set WHERE dev_eui = ? AND join_eui = ? AND live = 1')
      .get(eui64ToBytes(devEui), eui64ToBytes(joinEui))
    if (row === undefined) throw new Error(`no device ${devEui}`)
    return Number(row['id'])
  }
}

function seededState(device: SeededDevice, joinNonce: number, usedDevNonces: readonly number[]): JoinState {
  const { macVersion, networks } = device
  return {
    lastJoinNonce: joinNonce,
    devNonces: history(macVersion, usedDevNonces),
    nextRjCount1: 0,
    last: {
      requestDigest: Buffer.alloc(16),
      devNonce: 0,
      joinNonce,
      sessionKeyId: Buffer.alloc(8),
      nsKekId: undefined,
      asKekId: undefined,
      netId: networks[0] ?? parseNetId('000000'),
      devAddr: parseDevAddr('00000000'),
      joinedAt: 0,
    },
    stored: Buffer.alloc(0),
  }
}

function history(macVersion: MacVersion, usedDevNonces: readonly number[]): Buffer {
  const rule = devNonceRule(macVersion)
  return usedDevNonces.reduce<Buffer>((before, devNonce) => addDevNonce(before, rule, devNonce), NO_DEV_NONCES)
}
