import { createHash, randomBytes } from 'node:crypto'
import {
  AskedProcess,
  decodeDeviceRecord,
  type FillDialogue,
  HSM_BENCH_FILL_MAIN,
  OWNER_ID_BYTES,
  sealEnvelope,
} from '@mortise/hsm'
import { parseNetId } from '@mortise/lorawan'
import { openDatabase, openLocalAdministration, type Storage } from '@mortise/server'
import { loadDevEui, type LoadFleet, readLoadFleet } from '@mortise/simulator'
import { CliError, messageOf } from '../errors.ts'
import type { BenchInstallation } from './installation.ts'
import { AS_ID } from './parties.ts'

const DEVICES_PER_TRANSACTION = 20_000
/** Keys of one envelope: it has at most 256 KiB. */
const KEYS_PER_ENVELOPE = 1000
const SIGNER_BYTES = 16
const KEY_DIGEST_BYTES = 16

type Filler = AskedProcess<FillDialogue>
type DeviceAdded = Extract<
  Parameters<Storage['administration']['adoptOrder']>[1]['changes'][number],
  { kind: 'device-added' }
>

/**
 * Fills the database of a new installation with its fleet. A process of the trust boundary makes the records; they are
 * stored as outcomes of orders that somebody unknown signed: the database takes devices from nobody else.
 * @throws CliError bench_failed
 */
export async function fillFleet(installation: BenchInstallation, onProgress: (devices: number) => void): Promise<void> {
  const { directory, environment, fleetFile } = installation
  const fleet = await readLoadFleet(fleetFile)
  try {
    await using stack = new AsyncDisposableStack()
    // Holds the lock of the directory.
    stack.use(openLocalAdministration(directory.root))
    const storage = stack.use(openDatabase(directory.database))
    const filler: Filler = stack.use(new AskedProcess({ program: HSM_BENCH_FILL_MAIN, environment }))
    await begin(filler, installation, fleet, storage)
    await store(filler, fleet, storage, onProgress)
    await storage.administration.recordHeads([reviveHead(await filler.ask('close', {}))])
  } catch (error) {
    throw new CliError('bench_failed', `the fleet could not be made: ${messageOf(error)}`, { cause: error })
  }
}

async function begin(filler: Filler, installation: BenchInstallation, fleet: LoadFleet, storage: Storage) {
  const { directory, secretFile, plan } = installation
  const { importPublicKey } = await filler.ask('open', { directory: directory.hsm, secretFile })
  const seal = (keys: readonly Uint8Array[]) => envelopes(toBuffer(importPublicKey), keys)
  await filler.ask('fleet', {
    ...{ macVersion: fleet.macVersion, joinEui: fleet.joinEui, applicationServers: [AS_ID] },
    owner: storage.administration.organisationId().subarray(0, OWNER_ID_BYTES),
    networks: plan.networks.map(parseNetId),
    ...{ appKeys: seal(fleet.appKeys), nwkKeys: seal(fleet.nwkKeys) },
  })
}

function envelopes(importPublicKey: Buffer, keys: readonly Uint8Array[]): Buffer[] {
  const count = Math.ceil(keys.length / KEYS_PER_ENVELOPE)
  return Array.from({ length: count }, (_, index) =>
    sealEnvelope(importPublicKey, keys.slice(index * KEYS_PER_ENVELOPE, (index + 1) * KEYS_PER_ENVELOPE)),
  )
}

async function store(
  filler: Filler,
  fleet: LoadFleet,
  { administration }: Storage,
  onProgress: (devices: number) => void,
): Promise<void> {
  const signer = randomBytes(SIGNER_BYTES)
  for (let first = 0, sequence = 1; first < fleet.size; first += DEVICES_PER_TRANSACTION, sequence++) {
    const count = Math.min(DEVICES_PER_TRANSACTION, fleet.size - first)
    const text = Buffer.from(`mortise bench: devices from ${first} on`)
    const { orderId } = await administration.submitOrder({
      ...{ signer, sequence, text, signatures: [], envelope: undefined, certificates: [] },
    })
    const devEuis = Array.from({ length: count }, (_, index) => loadDevEui(fleet, first + index))
    const { records, receipt } = await filler.ask('devices', { first, devEuis, subject: text })
    const changes = records.map((record) => deviceAdded(toBuffer(record)))
    await administration.adoptOrder(orderId, { changes, receipt: toBuffer(receipt), epoch: 1 })
    onProgress(first + count)
  }
}

/** What an order's plan makes of one device: see kms/plan-order.ts. */
function deviceAdded(record: Buffer): DeviceAdded {
  const { deviceId, devEui, joinEui, keyGeneration: generation, appKey, nwkKey } = decodeDeviceRecord(record)
  const { rootUse } = nwkKey ?? appKey
  const keyDigest = createHash('sha256').update(rootUse).digest().subarray(0, KEY_DIGEST_BYTES)
  return { kind: 'device-added', deviceId, devEui, joinEui, generation, keysDelivered: true, record, keyDigest }
}

type Head = FillDialogue['close']['answer']

function reviveHead(head: Head): Head {
  return { ...head, hsmId: toBuffer(head.hsmId), hash: toBuffer(head.hash), signature: toBuffer(head.signature) }
}

/** Node's channel between processes makes a Uint8Array of a Buffer. */
function toBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}
