import { randomBytes } from 'node:crypto'
import { existsSync, rmSync, statSync } from 'node:fs'
import { parseDevEui, parseJoinEui } from '@mortise/lorawan'
import { createDatabase, openDatabase, type Storage } from '../../src/storage/index.ts'
import { adopt, newDevice } from './fixtures.ts'

/**
 * How long a database of many devices takes to open, and what it costs on the disk. Not a test: it takes minutes and
 * gigabytes. Arguments: path of the database, which is made if it is not there; devices to have; `cold` drops the page
 * cache before (root only).
 */
const [path = '/tmp/mortise-measure.db', count = '1000000'] = process.argv.slice(2)
const DEVICES_A_TRANSACTION = 20_000
const JOIN_EUI = parseJoinEui('70b3d57ed0000001')
/** A device of LoRaWAN 1.0.4 with one application server and one network. */
const RECORD_BYTES = 193

async function fill(storage: Storage, devices: number): Promise<void> {
  for (let made = 0; made < devices; made += DEVICES_A_TRANSACTION) {
    const changes = Array.from({ length: Math.min(DEVICES_A_TRANSACTION, devices - made) }, () =>
      newDevice({
        devEui: parseDevEui(randomBytes(8).toString('hex')),
        joinEui: JOIN_EUI,
        record: randomBytes(RECORD_BYTES),
      }),
    )
    await adopt(storage, ...changes)
  }
}

function timed<T>(what: string, work: () => T): T {
  const started = performance.now()
  const result = work()
  console.log(`${what}: ${(performance.now() - started).toFixed(2)} ms`)
  return result
}

if (!existsSync(path)) {
  createDatabase(path)
  const started = performance.now()
  using storage = openDatabase(path)
  await fill(storage, Number(count))
  console.log(`filled in ${((performance.now() - started) / 1000).toFixed(1)} s`)
}
const { size } = statSync(path)
console.log(`${size} bytes, ${(size / Number(count)).toFixed(1)} a device`)
using storage = timed('open', () => openDatabase(path))
const { administration } = storage
timed('countDevices', () => administration.countDevices())
timed('countDevices again', () => administration.countDevices())
const first = timed('first page of 100', () => administration.listDevices({ after: undefined, limit: 100 }))
const after = first.at(-1)?.deviceId.toString('hex')
timed('next page of 100', () => administration.listDevices({ after, limit: 100 }))
timed('page of 1000', () => administration.listDevices({ after, limit: 1000 }))
timed('listOrders waiting', () => administration.listOrders('waiting', 1000))
timed('listOrders refused', () => administration.listOrders('refused', 10))
timed('listPeers', () => administration.listPeers())
timed('highestSequence', () => administration.highestSequence(Buffer.alloc(16, 9)))
const [device] = first[50]?.keySets ?? []
if (device) {
  timed('findKeySets', () => storage.joins.findKeySets(device.joinEui, device.devEui))
  timed('findKeySets again', () => storage.joins.findKeySets(device.joinEui, device.devEui))
}
if (process.argv.includes('remove')) rmSync(path)
