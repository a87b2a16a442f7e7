import { type DevEui, eui64ToBytes, type JoinEui } from '@mortise/lorawan'
import { type AdoptedChange, type Device, MAX_PAGE_ROWS, type Page, StorageError } from '../ports.ts'
import type { Connection, Statement } from './connection.ts'
import { DAMAGED_ROW, encodeInheritedRow } from './join-row.ts'
import { readJoinState, toKeySet } from './key-set-row.ts'
import { DEFAULT_ORGANISATION } from './organisation.ts'
import { blob, flag, integer, type Row } from './row.ts'

type DeviceAdded = Extract<AdoptedChange, { kind: 'device-added' }>

const SELECT_DEVICE = 'SELECT id, device_id, created_at, keys_delivered FROM device WHERE removed_at IS NULL'

/** Devices and their key sets, as administration reads them. Removed ones are not seen. */
export class DeviceReader {
  readonly #findById: Statement
  readonly #findByRow: Statement
  readonly #findByDevEui: Statement
  readonly #keySets: Statement
  readonly #count: Statement
  readonly #position: Statement
  readonly #page: Statement

  constructor(connection: Connection) {
    this.#findById = connection.prepare(`${SELECT_DEVICE} AND device_id = ?`)
    this.#findByRow = connection.prepare(`${SELECT_DEVICE} AND id = ?`)
    this.#findByDevEui = connection.prepare(
      `${SELECT_DEVICE} AND id IN (SELECT device FROM key_set WHERE dev_eui = ? AND live = 1) ORDER BY id`,
    )
    this.#keySets = connection.prepare(
      'SELECT * FROM key_set WHERE device = ? AND live = 1 ORDER BY generation DESC, id',
    )
    this.#count = connection.prepare('SELECT devices FROM meta WHERE id = 1')
    // A device stands where its first live key set stands in the index key_set_by_eui.
    this.#position = connection.prepare(
      `SELECT dev_eui, join_eui, key_set.id FROM key_set JOIN device ON device.id = key_set.device
       WHERE device.device_id = ? ORDER BY live DESC, key_set.id LIMIT 1`,
    )
    this.#page = connection.prepare(
      `SELECT device FROM key_set WHERE live = 1 AND (dev_eui, join_eui, id) > (?, ?, ?)
         AND NOT EXISTS (SELECT 1 FROM key_set AS earlier
           WHERE earlier.device = key_set.device AND earlier.live = 1 AND earlier.id < key_set.id)
       ORDER BY dev_eui, join_eui, id LIMIT ?`,
    )
  }

  find(deviceId: Buffer): Device | undefined {
    const row = this.#findById.get(deviceId)
    return row && this.#toDevice(row)
  }

  findByDevEui(devEui: DevEui): Device[] {
    return this.#findByDevEui.all(eui64ToBytes(devEui)).map((row) => this.#toDevice(row))
  }

  list({ after, limit }: Page): Device[] {
    if (limit > MAX_PAGE_ROWS) throw new RangeError(`a page has at most ${MAX_PAGE_ROWS} rows`)
    const start = this.#startOfPage(after)
    if (start === undefined) return []
    return this.#page.all(...start, limit).flatMap((row) => {
      const device = this.#findByRow.get(integer(row, 'device'))
      return device ? [this.#toDevice(device)] : []
    })
  }

  count(): number {
    const row = this.#count.get()
    return row ? integer(row, 'devices') : 0
  }

  #startOfPage(after: string | undefined): [Buffer, Buffer, number] | undefined {
    if (after === undefined) return [Buffer.alloc(0), Buffer.alloc(0), 0]
    const row = this.#position.get(Buffer.from(after, 'hex'))
    return row && [blob(row, 'dev_eui'), blob(row, 'join_eui'), integer(row, 'id')]
  }

  #toDevice(row: Row): Device {
    return {
      deviceId: blob(row, 'device_id'),
      createdAt: integer(row, 'created_at'),
      keysDelivered: flag(row, 'keys_delivered'),
      keySets: this.#keySets.all(integer(row, 'id')).map(toKeySet),
    }
  }
}

/** What adopted orders do to devices. Call inside a transaction. */
export class DeviceWriter {
  readonly #findLive: Statement
  readonly #insertDevice: Statement
  readonly #insertKeySet: Statement
  readonly #findNonces: Statement
  readonly #keySets: Statement
  readonly #setJoins: Statement
  readonly #changeRecord: Statement
  readonly #markRemoved: Statement
  readonly #retireKeySets: Statement
  readonly #countDevices: Statement

  constructor(connection: Connection) {
    this.#findLive = connection.prepare('SELECT 1 FROM key_set WHERE dev_eui = ? AND join_eui = ? AND live = 1')
    this.#insertDevice = connection.prepare(
      `INSERT INTO device (organisation, device_id, created_at, keys_delivered) VALUES (?, ?, ?, ?)
       ON CONFLICT DO NOTHING RETURNING id`,
    )
    this.#insertKeySet = connection.prepare(
      `INSERT INTO key_set (organisation, device, dev_eui, join_eui, generation, live, record)
       VALUES (?, ?, ?, ?, ?, 1, ?) RETURNING id`,
    )
    // Each return of a key inherits from the one before: the last one has the whole history.
    this.#findNonces = connection.prepare(
      `SELECT * FROM key_set WHERE dev_eui = ? AND join_eui = ? AND removed_key_digest = ?
       ORDER BY id DESC LIMIT 1`,
    )
    this.#keySets = connection.prepare('SELECT * FROM key_set WHERE device = ?')
    this.#setJoins = connection.prepare('UPDATE key_set SET last_join_nonce = ?2, joins = ?3 WHERE id = ?1')
    this.#changeRecord = connection.prepare(
      `UPDATE key_set SET record = ?2 WHERE id = (SELECT key_set.id FROM key_set JOIN device ON device.id = key_set.device
         WHERE device.device_id = ?1 AND key_set.live = 1 ORDER BY generation DESC LIMIT 1)`,
    )
    this.#markRemoved = connection.prepare(
      'UPDATE device SET removed_at = ? WHERE device_id = ? AND removed_at IS NULL RETURNING id',
    )
    this.#retireKeySets = connection.prepare(
      `UPDATE key_set SET live = 0, record = x'', removed_key_digest = ?2 WHERE device = ?1 AND live = 1`,
    )
    this.#countDevices = connection.prepare('UPDATE meta SET devices = devices + ? WHERE id = 1')
  }

  /** @throws StorageError device_exists */
  add(change: DeviceAdded): void {
    const { deviceId, devEui, joinEui, generation, keysDelivered, record, keyDigest } = change
    const euis = [eui64ToBytes(devEui), eui64ToBytes(joinEui)] as const
    if (this.#findLive.get(...euis)) throw exists(devEui, joinEui)
    const device = this.#insertDevice.get(DEFAULT_ORGANISATION, deviceId, Date.now(), keysDelivered ? 1 : 0)
    if (device === undefined) throw exists(devEui, joinEui)
    const keySet = this.#insertKeySet.get(DEFAULT_ORGANISATION, integer(device, 'id'), ...euis, generation, record)
    if (keySet === undefined) throw new StorageError('database_failed', 'no key set was made')
    this.#carryNoncesOver(integer(keySet, 'id'), this.#findNonces.get(...euis, keyDigest))
    this.#countDevices.run(1)
  }

  /** @throws StorageError row_missing */
  change(deviceId: Buffer, record: Buffer): void {
    if (this.#changeRecord.run(deviceId, record) === 0) throw missing(deviceId)
  }

  /** Keeps the nonces and the key's digest, so that the key may come back. @throws StorageError row_missing */
  remove(deviceId: Buffer, keyDigest: Buffer): void {
    const row = this.#markRemoved.get(Date.now(), deviceId)
    if (row === undefined) throw missing(deviceId)
    const device = integer(row, 'id')
    this.#forgetSessions(device)
    this.#retireKeySets.run(device, keyDigest)
    this.#countDevices.run(-1)
  }

  #carryNoncesOver(keySet: number, from: Row | undefined): void {
    const state = from && readJoinState(from)
    // Damaged nonces must not become good ones under another number, nor no nonces at all.
    if (state === 'damaged') this.#setJoins.run(keySet, 1, DAMAGED_ROW)
    else if (state !== undefined) this.#setJoins.run(keySet, state.lastJoinNonce, encodeInheritedRow(keySet, state))
  }

  #forgetSessions(device: number): void {
    for (const row of this.#keySets.all(device)) this.#carryNoncesOver(integer(row, 'id'), row)
  }
}

function exists(devEui: DevEui, joinEui: JoinEui): StorageError {
  return new StorageError('device_exists', `DevEUI ${devEui}, JoinEUI ${joinEui}`)
}

function missing(deviceId: Buffer): StorageError {
  return new StorageError('row_missing', `device ${deviceId.toString('hex')}`)
}
