/**
 * Fills the database of a new installation with a fleet, as a process of its own: `node hsm-fill-main.ts --config FILE`.
 * It opens the HSM with its passphrase or PIN and makes the device records with the functions that orders use; signed
 * orders for a million devices would take hours. Each root key of the pool goes through an envelope and is wrapped once;
 * every record is tagged on its own. The file: `{"data", "secretFile", "fleetFile", "asId", "networks": "NetID NetID …"}`.
 */
import { createHash, randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import {
  DEVICE_ID_BYTES,
  encodeDeviceRecord,
  OWNER_ID_BYTES,
  readSecretLine,
  RECEIPT_SALT_BYTES,
  type RootKeyBlobs,
  sealEnvelope,
} from '@mortise/hsm'
import { openWorkbench, parseEnvelope, type Workbench } from '@mortise/hsm/workbench'
import { type NetId, parseNetId } from '@mortise/lorawan'
import { dataDirectory, openDatabase, type Storage } from '@mortise/server'
import { loadDevEui, type LoadFleet, Members, readLoadFleet } from '@mortise/simulator'

const DEVICES_PER_TRANSACTION = 20_000
/** Keys of one envelope: it has at most 256 KiB. */
const KEYS_PER_ENVELOPE = 1000
const SIGNER_BYTES = 16
const KEY_DIGEST_BYTES = 16

type DeviceAdded = Extract<
  Parameters<Storage['administration']['adoptOrder']>[1]['changes'][number],
  { kind: 'device-added' }
>

interface FillPlan {
  readonly fleet: LoadFleet
  readonly owner: Buffer
  readonly asId: string
  readonly networks: readonly NetId[]
}

function importRootKeys({ custody, importPublicKey }: Workbench, keys: readonly Uint8Array[]): RootKeyBlobs[] {
  const blobs: RootKeyBlobs[] = []
  for (let start = 0; start < keys.length; start += KEYS_PER_ENVELOPE) {
    const envelope = parseEnvelope(sealEnvelope(importPublicKey, keys.slice(start, start + KEYS_PER_ENVELOPE)))
    const transport = custody.token.openTransport(envelope.transport)
    blobs.push(...envelope.keys.map((wrapped) => custody.token.importRoot(transport, wrapped)))
    custody.token.close(transport)
  }
  return blobs
}

/** What an order's plan makes of one device: see kms/plan-order.ts. */
function deviceMaker(workbench: Workbench, plan: FillPlan): (index: number) => DeviceAdded {
  const { fleet, owner, asId, networks } = plan
  const { token, storageKeyId } = workbench.custody
  const appKeys = importRootKeys(workbench, fleet.appKeys)
  const nwkKeys = importRootKeys(workbench, fleet.nwkKeys)
  const digests = (nwkKeys.length > 0 ? nwkKeys : appKeys).map(({ rootUse }) =>
    createHash('sha256').update(rootUse).digest().subarray(0, KEY_DIGEST_BYTES),
  )
  return (index) => {
    const random = randomBytes(DEVICE_ID_BYTES + RECEIPT_SALT_BYTES)
    const deviceId = random.subarray(0, DEVICE_ID_BYTES)
    const devEui = loadDevEui(fleet, index)
    const nwkKey = nwkKeys[index % nwkKeys.length]
    const record = encodeDeviceRecord(
      {
        ...{ deviceId, devEui, joinEui: fleet.joinEui, macVersion: fleet.macVersion },
        ...{ recordVersion: 1, keyGeneration: 1, owner, networks },
        applicationServers: [asId],
        networkIsApplicationServer: false,
        receiptSalt: random.subarray(DEVICE_ID_BYTES),
        appKey: pooled(appKeys, index),
        ...(nwkKey && { nwkKey }),
      },
      storageKeyId,
      (message) => token.tag(message),
    )
    const keyDigest = pooled(digests, index)
    const identity = { deviceId, devEui, joinEui: fleet.joinEui, generation: 1, keysDelivered: true }
    return { kind: 'device-added', ...identity, record, keyDigest }
  }
}

function pooled<T>(pool: readonly T[], index: number): T {
  const item = pool[index % pool.length]
  if (item === undefined) throw new RangeError('the fleet has no root keys of this kind')
  return item
}

/** As outcomes of orders that somebody unknown signed: the database takes devices from nobody else. */
async function store(storage: Storage, workbench: Workbench, plan: FillPlan): Promise<void> {
  const makeDevice = deviceMaker(workbench, plan)
  const signer = randomBytes(SIGNER_BYTES)
  const { administration } = storage
  for (let start = 0, sequence = 1; start < plan.fleet.size; start += DEVICES_PER_TRANSACTION, sequence++) {
    const count = Math.min(DEVICES_PER_TRANSACTION, plan.fleet.size - start)
    const text = Buffer.from(`mortise bench: devices from ${start} on`)
    const { orderId } = await administration.submitOrder({
      ...{ signer, sequence, text, signatures: [], envelope: undefined, certificates: [] },
    })
    const receipt = workbench.custody.receipts.append({
      ...{ operation: 'applyOrder', subject: text, device: undefined, kekIds: [], appSKey: 'none' },
    })
    const changes = Array.from({ length: count }, (_, index) => makeDevice(start + index))
    await administration.adoptOrder(orderId, { changes, receipt, epoch: 1 })
    process.stdout.write(`${start + count}\n`)
  }
}

async function main(): Promise<void> {
  const { values } = parseArgs({ options: { config: { type: 'string' } } })
  if (values.config === undefined) throw new Error('Say which configuration to use: --config FILE')
  const members = Members.parse(readFileSync(values.config, 'utf8'))
  const directory = dataDirectory(members.text('data'))
  using workbench = openWorkbench(directory.hsm, readSecretLine(members.text('secretFile')))
  using storage = openDatabase(directory.database)
  const owner = storage.administration.organisationId().subarray(0, OWNER_ID_BYTES)
  const networks = members.text('networks').split(' ').map(parseNetId)
  const fleet = await readLoadFleet(members.text('fleetFile'))
  await store(storage, workbench, { fleet, owner, asId: members.text('asId'), networks })
}

await main()
