import type {
  AdministrationReader,
  AdministrationWriter,
  AdoptedChange,
  JoinReader,
  JoinWriter,
  Storage,
} from '../ports.ts'
import { ApiKeyTable } from './api-keys.ts'
import type { Connection } from './connection.ts'
import { DeviceReader, DeviceWriter } from './devices.ts'
import { WalEraser } from './erase-wal.ts'
import { GroupCommit, type PreparedItem } from './group-commit.ts'
import { type CommitResult, JoinTables } from './joins.ts'
import { KekTable } from './keks.ts'
import { MetaTable } from './meta.ts'
import { OrderTable } from './orders.ts'
import { PeerTable } from './peers.ts'
import { keyedReceipt, ReceiptTable } from './receipts.ts'

interface Tables {
  readonly meta: MetaTable
  readonly peers: PeerTable
  readonly keks: KekTable
  readonly devices: DeviceReader
  readonly deviceWriter: DeviceWriter
  readonly joins: JoinTables
  readonly receipts: ReceiptTable
  readonly orders: OrderTable
  readonly apiKeys: ApiKeyTable
}

/** The ports over one connection, which is closed with them. */
export function sqliteStorage(connection: Connection, options: { readonly readOnly: boolean }): Storage {
  const tables: Tables = {
    meta: new MetaTable(connection),
    peers: new PeerTable(connection),
    keks: new KekTable(connection),
    devices: new DeviceReader(connection),
    deviceWriter: new DeviceWriter(connection),
    joins: new JoinTables(connection),
    receipts: new ReceiptTable(connection),
    orders: new OrderTable(connection),
    apiKeys: new ApiKeyTable(connection),
  }
  const commits = new GroupCommit((items) => connection.transaction(() => writeItems(tables, items)))
  const walEraser = new WalEraser(connection)
  // A process that was killed may have left the envelope of a settled order in the log.
  if (!options.readOnly) walEraser.erase()
  return {
    joins: { ...joinReader(tables), commit: (items) => commits.commit(items) } satisfies JoinReader & JoinWriter,
    administration: { ...administrationReader(tables), ...administrationWriter(connection, tables, walEraser) },
    [Symbol.dispose]() {
      commits.flush()
      walEraser[Symbol.dispose]()
      connection[Symbol.dispose]()
    },
  }
}

function joinReader({ joins, keks }: Tables): JoinReader {
  return {
    findKeySets: (joinEui, devEui) => joins.findKeySets(joinEui, devEui),
    newestKek: (kind, recipient) => keks.newest(kind, recipient),
    findKek: (kekId) => keks.find(kekId),
    findSession: (keySet, sessionKeyId) => joins.findSession(keySet, sessionKeyId),
  }
}

function writeItems({ joins, receipts }: Tables, items: readonly PreparedItem[]): CommitResult[] {
  return items.map(({ join, receipt }) => {
    receipts.addReceipt(receipt)
    return join ? joins.applyJoin(join) : 'committed'
  })
}

function administrationReader(tables: Tables): AdministrationReader {
  const { meta, peers, keks, devices, joins, orders, apiKeys } = tables
  return {
    organisationId: () => meta.organisationId(),
    listPeers: () => peers.list(),
    listKeks: () => keks.list(),
    findKek: (kekId) => keks.find(kekId),
    listDevices: (page) => devices.list(page),
    findDevices: (devEui) => devices.findByDevEui(devEui),
    findDevice: (deviceId) => devices.find(deviceId),
    countDevices: () => devices.count(),
    listSessions: (keySet) => joins.listSessions(keySet),
    listOrders: (state, limit) => orders.list(state, limit),
    findOrder: (orderId) => orders.find(orderId),
    highestSequence: (signer) => orders.highestSequence(signer),
    hsmEpoch: () => meta.hsmEpoch(),
    operatorPublicKey: () => meta.operatorPublicKey(),
    listApiKeys: () => apiKeys.list(),
    findApiKey: (tokenHash) => apiKeys.find(tokenHash),
  }
}

function administrationWriter(connection: Connection, tables: Tables, walEraser: WalEraser): AdministrationWriter {
  const { meta, receipts, orders, apiKeys } = tables
  function write<T>(work: () => T): Promise<T> {
    // In a promise, so that a failure of the database rejects instead of throwing past the caller's `catch`.
    return new Promise((resolve) => {
      resolve(connection.transaction(work))
    })
  }
  return {
    submitOrder: (order) => write(() => orders.submit(order)),
    async adoptOrder(orderId, { changes, receipt, epoch }) {
      await write(() => {
        orders.settle(orderId, { state: 'adopted' })
        for (const change of changes) applyChange(tables, change)
        receipts.addReceipt(keyedReceipt(receipt))
        meta.raiseHsmEpoch(epoch)
      })
      walEraser.erase()
    },
    async refuseOrder(orderId, code, detail) {
      await write(() => {
        orders.settle(orderId, { state: 'refused', code, detail })
      })
      walEraser.erase()
    },
    createApiKey: (key) =>
      write(() => {
        apiKeys.create(key)
      }),
    revokeApiKey: (apiKeyId) => write(() => apiKeys.revoke(apiKeyId)),
    recordReceipts: (bodies, heads) =>
      write(() => {
        for (const body of bodies) receipts.addReceipt(keyedReceipt(body))
        for (const head of heads) receipts.addHead(head)
      }),
    recordHsmEpoch: (epoch) =>
      write(() => {
        meta.raiseHsmEpoch(epoch)
      }),
    recordOperatorPublicKey: (spki) =>
      write(() => {
        meta.setOperatorPublicKey(spki)
      }),
  }
}

function applyChange({ deviceWriter, keks, peers }: Tables, change: AdoptedChange): void {
  switch (change.kind) {
    case 'device-added':
      deviceWriter.add(change)
      return
    case 'device-changed':
      deviceWriter.change(change.deviceId, change.record)
      return
    case 'device-removed':
      deviceWriter.remove(change.deviceId, change.keyDigest)
      return
    case 'kek-added':
      keks.add(change.kek)
      return
    case 'kek-removed':
      keks.remove(change.kekId)
      return
    case 'peer-added':
      peers.add(change.peer)
      return
    case 'peer-disabled':
      peers.disable(change.peerId)
      return
    case 'peer-removed':
      peers.remove(change.peerId)
      return
  }
}
