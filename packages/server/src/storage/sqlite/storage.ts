import type { ReceiptPlace } from '@mortise/hsm'
import type { LastCommit } from '../last-commit.ts'
import type {
  AdministrationReader,
  AdministrationWriter,
  AdoptedChange,
  DeferredRequests,
  JoinReader,
  JoinWriter,
  Storage,
  StorageError,
} from '../ports.ts'
import { AgreementTable } from './agreements.ts'
import { ApiKeyTable } from './api-keys.ts'
import { Checkpoints } from './checkpoints.ts'
import type { Connection } from './connection.ts'
import { DeferredRequestTable } from './deferred-requests.ts'
import { DurableWrites } from './durable-writes.ts'
import { DeviceReader, DeviceWriter } from './devices.ts'
import { WalEraser } from './erase-wal.ts'
import { GroupCommit, type PreparedItem } from './group-commit.ts'
import { type CommitResult, JoinTables } from './joins.ts'
import { KekTable } from './keks.ts'
import { MetaTable } from './meta.ts'
import { OrderTable } from './orders.ts'
import { PeerTable } from './peers.ts'
import { keyedReceipt, ReceiptTable } from './receipts.ts'
import { RouteTable } from './routes.ts'
import { rewriteFirstPage } from './settings.ts'
import { WriteGuard } from './write-guard.ts'

interface Tables {
  readonly meta: MetaTable
  readonly peers: PeerTable
  readonly agreements: AgreementTable
  readonly routes: RouteTable
  readonly keks: KekTable
  readonly devices: DeviceReader
  readonly deviceWriter: DeviceWriter
  readonly joins: JoinTables
  readonly receipts: ReceiptTable
  readonly orders: OrderTable
  readonly apiKeys: ApiKeyTable
  readonly deferred: DeferredRequestTable
}

export interface StorageOptions {
  readonly readOnly: boolean
  readonly lastCommit?: LastCommit
  readonly log?: (line: string) => void
  /** Begins to look for damage that an opening does not find. */
  readonly check?: (damaged: (error: StorageError) => void) => Disposable
}

/** Runs a transaction and resolves when it is durable; `newest` is the newest receipt in it. */
type Write = <T>(work: () => T, newest?: ReceiptPlace) => Promise<T>

/** The ports over one connection, which is closed with them. */
export function sqliteStorage(connection: Connection, path: string, options: StorageOptions): Storage {
  const { readOnly, lastCommit, log = () => undefined, check } = options
  const tables = makeTables(connection)
  const guard = new WriteGuard({
    log,
    probe: () => {
      rewriteFirstPage(connection)
    },
  })
  const checkpoints = new Checkpoints(path, { finish: () => void connection.checkpoint('PASSIVE'), log })
  const writes = new DurableWrites(
    (work) => {
      const result = guard.write(() => connection.transaction(work))
      checkpoints.committed()
      return result
    },
    path,
    (error) => {
      guard.refuseAll(error)
    },
  )
  const write: Write = (work, newest) =>
    writes.write(work, () => {
      if (newest !== undefined) lastCommit?.write(newest)
    })
  const commits = new GroupCommit((items) => write(() => writeItems(tables, items), items.at(-1)?.receipt))
  const walEraser = new WalEraser(connection)
  // A process that was killed may have left the envelope of a settled order in the log.
  if (!readOnly) {
    walEraser.erase()
    writes.openLog()
  }
  const checking = check?.((damage) => {
    guard.refuseAll(damage)
  })
  return {
    get failure() {
      return guard.failure
    },
    joins: { ...joinReader(tables), commit: (items) => commits.commit(items) } satisfies JoinReader & JoinWriter,
    administration: { ...administrationReader(tables), ...administrationWriter(write, tables, walEraser) },
    deferred: deferredRequests(write, tables),
    [Symbol.dispose]() {
      checking?.[Symbol.dispose]()
      commits.flush()
      writes[Symbol.dispose]()
      guard[Symbol.dispose]()
      walEraser[Symbol.dispose]()
      checkpoints[Symbol.dispose]()
      connection[Symbol.dispose]()
      lastCommit?.[Symbol.dispose]()
    },
  }
}

function makeTables(connection: Connection): Tables {
  return {
    meta: new MetaTable(connection),
    peers: new PeerTable(connection),
    agreements: new AgreementTable(connection),
    routes: new RouteTable(connection),
    keks: new KekTable(connection),
    devices: new DeviceReader(connection),
    deviceWriter: new DeviceWriter(connection),
    joins: new JoinTables(connection),
    receipts: new ReceiptTable(connection),
    orders: new OrderTable(connection),
    apiKeys: new ApiKeyTable(connection),
    deferred: new DeferredRequestTable(connection),
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
  receipts.addReceipts(items.map(({ receipt }) => receipt))
  return items.map(({ join }) => (join ? joins.applyJoin(join) : 'committed'))
}

function administrationReader(tables: Tables): AdministrationReader {
  const { meta, peers, agreements, routes, keks, devices, joins, orders, apiKeys } = tables
  return {
    organisationId: () => meta.organisationId(),
    listPeers: () => peers.list(),
    listAgreements: () => agreements.list(),
    listRoutes: () => routes.list(),
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

function administrationWriter(write: Write, tables: Tables, walEraser: WalEraser): AdministrationWriter {
  const { meta, receipts, orders, apiKeys } = tables
  return {
    submitOrder: (order) => write(() => orders.submit(order)),
    async adoptOrder(orderId, { changes, receipt, epoch }) {
      const keyed = keyedReceipt(receipt)
      await write(() => {
        orders.settle(orderId, { state: 'adopted' })
        for (const change of changes) applyChange(tables, change)
        receipts.addReceipts([keyed])
        meta.raiseHsmEpoch(epoch)
      }, keyed)
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
    recordHeads: (heads) =>
      write(() => {
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

function deferredRequests(write: Write, { deferred }: Tables): DeferredRequests {
  return {
    add: (request) => write(() => deferred.add(request)),
    remove: (requestId) =>
      write(() => {
        deferred.remove(requestId)
      }),
    list: () => deferred.list(),
  }
}

function applyChange({ deviceWriter, keks, peers, agreements, routes }: Tables, change: AdoptedChange): void {
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
    case 'peer-changed':
      peers.change(change.peerId, change.settings)
      return
    case 'peer-disabled':
      peers.disable(change.peerId)
      return
    case 'peer-removed':
      peers.remove(change.peerId)
      return
    case 'peer-certificate-added':
      peers.addCertificate(change.peerId, change.certificate)
      return
    case 'peer-certificate-removed':
      peers.removeCertificate(change.peerId, change.fingerprint)
      return
    case 'peer-token-added':
      peers.addToken(change.peerId, change.token)
      return
    case 'peer-token-removed':
      peers.removeToken(change.peerId, change.digest)
      return
    case 'agreement-added':
      agreements.add(change.peerId, change.scope, change.addedAt)
      return
    case 'agreement-removed':
      agreements.remove(change.peerId, change.scope)
      return
    case 'route-added':
      routes.add(change.route)
      return
    case 'route-removed':
      routes.remove(change.routeId)
      return
  }
}
