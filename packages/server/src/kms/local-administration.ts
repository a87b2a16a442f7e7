import { createHash } from 'node:crypto'
import { type HsmClient, signerId } from '@mortise/hsm'
import type { DevEui } from '@mortise/lorawan'
import { newApiKey } from '../identity/index.ts'
import type { AdministrationReader, AdministrationWriter, Device, StorageErrorCode } from '../storage/index.ts'
import {
  type Administration,
  type AgreementView,
  type ApiKeyView,
  type CreatedApiKey,
  type DeviceList,
  type DevicePage,
  type DeviceView,
  type HsmView,
  type InstalledCertificateView,
  type KekView,
  type ListedOrderState,
  MAX_API_KEY_NAME_LENGTH,
  MAX_LIST_ROWS,
  type OrderReport,
  type OrderView,
  type PeerView,
  type RouteView,
  type ServerStatus,
  type SubmittedOrder,
} from './administration.ts'
import { OrderAdopter } from './adopt-orders.ts'
import { admitOrder } from './admit-order.ts'
import {
  type InstalledCertificate,
  installedCertificates,
  type OwnCertificates,
  toCertificateView,
} from './certificates.ts'
import { toAgreementView, toPeerView, toRouteView } from './directory-views.ts'
import { AdministrationError, toAdministrationError } from './errors.ts'
import { VERSION } from './version.ts'
import { toApiKeyView, toDeviceView, toKekView, toOrderView } from './views.ts'
import { warningsOf } from './warnings.ts'

const REFUSED_ORDERS_SHOWN = 10

export interface LocalAdministrationOptions {
  readonly storage: AdministrationReader & AdministrationWriter
  /** Absent where no server runs: orders then wait for its next start. */
  readonly hsm?: Pick<HsmClient, 'state' | 'welcome'> | undefined
  /** Of a running server. */
  readonly adopter?: OrderAdopter | undefined
  /** Why commits are refused now. */
  readonly databaseFailure?: () => StorageErrorCode | undefined
  /** Those of the server and of its CA. */
  readonly ownCertificates?: OwnCertificates
}

/** Administration over the database itself: in the server, and offline under the directory's lock. */
export class LocalAdministration implements Administration {
  readonly #storage: AdministrationReader & AdministrationWriter
  readonly #hsm: Pick<HsmClient, 'state' | 'welcome'> | undefined
  readonly #adopter: OrderAdopter
  readonly #databaseFailure: () => StorageErrorCode | undefined
  readonly #ownCertificates: OwnCertificates

  constructor(options: LocalAdministrationOptions) {
    const { storage, hsm, adopter, databaseFailure = () => undefined, ownCertificates = () => [] } = options
    this.#databaseFailure = databaseFailure
    this.#ownCertificates = ownCertificates
    this.#storage = storage
    this.#hsm = hsm
    this.#adopter = adopter ?? new OrderAdopter({ storage, hsm: undefined })
  }

  status(): Promise<ServerStatus> {
    return answer(() => ({
      version: VERSION,
      running: this.#hsm !== undefined,
      organisationId: this.#storage.organisationId().toString('hex'),
      hsm: this.#hsmView(),
      nextSequence: this.#highestSequence() + 1,
      devices: this.#storage.countDevices(),
      waitingOrders: this.#adopter.waitingOrders,
      refusedOrders: this.#storage.listOrders('refused', REFUSED_ORDERS_SHOWN).map(toOrderView),
      warnings: warningsOf({
        hsmState: this.#hsm?.state,
        operator: this.#storage.operatorPublicKey(),
        hsmOperator: this.#hsm?.welcome?.operatorPublicKey,
        hsmKnowsMoreOrders: (this.#hsm?.welcome?.lastSequence ?? 0) > this.#highestStoredSequence(),
        databaseFailure: this.#databaseFailure(),
        obstacle: this.#adopter.obstacle,
        certificates: this.#certificates(),
        nowMs: Date.now(),
      }),
    }))
  }

  submitOrder(submitted: SubmittedOrder): Promise<OrderReport> {
    return answer(() => {
      const admitted = admitOrder(submitted, {
        operatorPublicKey: this.#storage.operatorPublicKey(),
        hsmOperatorPublicKey: this.#hsm?.welcome?.operatorPublicKey,
        highestSequence: this.#highestSequence(),
        hsmEpoch: this.#storage.hsmEpoch(),
        nowMs: Date.now(),
      })
      return this.#adopter.submit(admitted)
    })
  }

  listPeers(): Promise<PeerView[]> {
    return answer(() => this.#storage.listPeers().map(toPeerView))
  }

  listCertificates(): Promise<InstalledCertificateView[]> {
    return answer(() => {
      const nowMs = Date.now()
      return this.#certificates().map((certificate) => toCertificateView(certificate, nowMs))
    })
  }

  listAgreements(): Promise<AgreementView[]> {
    return answer(() => this.#storage.listAgreements().map(toAgreementView))
  }

  listRoutes(): Promise<RouteView[]> {
    return answer(() => this.#storage.listRoutes().map(toRouteView))
  }

  listKeks(): Promise<KekView[]> {
    return answer(() => this.#storage.listKeks().map(toKekView))
  }

  listDevices({ after, limit }: DevicePage): Promise<DeviceList> {
    return answer(() => {
      checkLimit(limit)
      if (after !== undefined && !/^[0-9a-f]{32}$/.test(after)) throw new AdministrationError('page_invalid', 'after')
      const page = this.#storage.listDevices({ after, limit })
      const devices = page.flatMap((device) => this.#deviceViews(device))
      const last = page.length === limit ? page.at(-1)?.deviceId.toString('hex') : undefined
      const more = last !== undefined && this.#storage.listDevices({ after: last, limit: 1 }).length > 0
      return { devices, ...(more && { next: last }) }
    })
  }

  findDevices(devEui: DevEui): Promise<DeviceView[]> {
    return answer(() => this.#storage.findDevices(devEui).flatMap((device) => this.#deviceViews(device)))
  }

  listOrders(state: ListedOrderState, limit: number): Promise<OrderView[]> {
    return answer(() => {
      checkLimit(limit)
      return this.#storage.listOrders(state, limit).map(toOrderView)
    })
  }

  listApiKeys(): Promise<ApiKeyView[]> {
    return answer(() => this.#storage.listApiKeys().map(toApiKeyView))
  }

  createApiKey(name: string): Promise<CreatedApiKey> {
    return answer(async () => {
      if (!/^[\x20-\x7e]+$/.test(name) || name.length > MAX_API_KEY_NAME_LENGTH)
        throw new AdministrationError('api_key_name_invalid', `1 to ${MAX_API_KEY_NAME_LENGTH} ASCII characters`)
      const { token, apiKey } = newApiKey(name)
      await this.#storage.createApiKey(apiKey)
      return { apiKeyId: apiKey.apiKeyId, token }
    })
  }

  revokeApiKey(apiKeyId: string): Promise<boolean> {
    return answer(() => this.#storage.revokeApiKey(apiKeyId))
  }

  /** One view; none for a device that lost its key sets, which cannot join. */
  #deviceViews(device: Device): DeviceView[] {
    const [newest] = device.keySets
    if (newest === undefined) return []
    const sessions = newest.noncesDamaged ? [] : this.#storage.listSessions(newest.keySet)
    return [toDeviceView(device, newest, sessions, Date.now())]
  }

  #certificates(): InstalledCertificate[] {
    return installedCertificates(this.#storage, this.#ownCertificates)
  }

  #hsmView(): HsmView {
    const state = this.#hsm?.state ?? 'stopped'
    const welcome = this.#hsm?.welcome
    const knownEpoch = this.#storage.hsmEpoch()
    if (welcome === undefined) return { state, lastSequence: 0, knownEpoch }
    return {
      state,
      hsmId: welcome.hsmId.toString('hex'),
      backend: welcome.backend,
      // A welcome is as old as its connection; an epoch that rose since then is in the database.
      epoch: state === 'rolled-back' ? welcome.epoch : Math.max(welcome.epoch, knownEpoch),
      workers: welcome.workers,
      importKeyThumbprint: createHash('sha256').update(welcome.importPublicKey).digest('hex'),
      lastSequence: welcome.lastSequence,
      knownEpoch,
    }
  }

  /** Of the operator, in the database or by the HSM. */
  #highestSequence(): number {
    return Math.max(this.#hsm?.welcome?.lastSequence ?? 0, this.#highestStoredSequence())
  }

  #highestStoredSequence(): number {
    const operatorPublicKey = this.#storage.operatorPublicKey()
    return operatorPublicKey === undefined ? 0 : this.#storage.highestSequence(signerId(operatorPublicKey))
  }
}

function checkLimit(limit: number): void {
  if (!Number.isInteger(limit) || limit < 1 || limit > MAX_LIST_ROWS)
    throw new AdministrationError('page_invalid', `limit is 1 to ${MAX_LIST_ROWS}`)
}

/** Every failure of HSM and database in the words of administration, as a rejection. */
async function answer<T>(work: () => T | Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    throw toAdministrationError(error)
  }
}
