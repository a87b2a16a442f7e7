import { DatabaseSync } from 'node:sqlite'
import { type DevEui, devNonceRule, eui64ToBytes, type JoinEui, type MacVersion } from '@mortise/lorawan'
import { addDevNonce } from '../../packages/server/src/join/index.ts'

export interface SeededDevice {
  readonly devEui: DevEui
  readonly joinEui: JoinEui
  readonly macVersion: MacVersion
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
    this.#database.prepare('DELETE FROM join_state WHERE key_set = ?').run(keySet)
    if (lastJoinNonce === 0 && usedDevNonces.length === 0) return
    this.#database
      .prepare(
        `INSERT INTO join_state (key_set, organisation, last_join_nonce, dev_nonce, net_id, dev_addr, joined_at,
           request_digest, session_key_id, dev_nonces)
         SELECT id, organisation, ?2, 0, zeroblob(3), zeroblob(4), 0, zeroblob(16), zeroblob(8), ?3
         FROM key_set WHERE id = ?1`,
      )
      // A device whose DevNonces are used has joined, so its JoinNonce is not below the first one.
      .run(keySet, Math.max(lastJoinNonce, 1), history(device.macVersion, usedDevNonces))
  }

  /** Everything that a join changes, as one text to compare; its JoinNonce is 0 before the first join. */
  read(device: SeededDevice): { readonly lastJoinNonce: number; readonly state: string } {
    const row = this.#database.prepare('SELECT * FROM join_state WHERE key_set = ?').get(this.#keySet(device))
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

function history(macVersion: MacVersion, usedDevNonces: readonly number[]): Buffer {
  const rule = devNonceRule(macVersion)
  return usedDevNonces.reduce<Buffer>((before, devNonce) => addDevNonce(before, rule, devNonce), NO_DEV_NONCES)
}
