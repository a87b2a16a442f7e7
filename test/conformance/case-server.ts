import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import type { BackendInterfacesClient } from '@mortise/backend-interfaces'
import type { Change, KekKind, KekSize, RootKeySource } from '@mortise/hsm'
import type { DevEui, JoinEui, MacVersion, NetId } from '@mortise/lorawan'
import type { RootKeys } from '@mortise/simulator'
import { openAdministration, type OpenAdministration } from '../../packages/cli/src/administration.ts'
import { openOperator } from '../../packages/cli/src/operator.ts'
import { OrderDesk } from '../../packages/cli/src/orders.ts'
import { type Backend, Installation, type ServerProcess } from '../support/installation.ts'
import { addPeer, connectPeer } from '../support/parties.ts'

export interface PeerName {
  readonly kind: KekKind
  /** NetID or AS-ID. */
  readonly id: string
  /** Of a network server that has one. */
  readonly nsId?: string
}

export interface CaseDevice {
  readonly devEui: DevEui
  readonly joinEui: JoinEui
  readonly macVersion: MacVersion
  readonly rootKeys: RootKeys
  readonly applicationServers: readonly string[]
  readonly networks: readonly NetId[]
}

export interface CaseKek extends PeerName {
  readonly label: string
  /** 16, 24 or 32 bytes. */
  readonly key: Buffer
}

export interface Answer {
  readonly status: number
  readonly text: string
}

/**
 * A running server with the peers, devices and KEKs of published cases. Peers come through the command line; devices and
 * KEKs come as the orders that the commands sign, because `device add` rightly refuses what some cases have: an AppKey
 * of zeros.
 */
export class CaseServer implements AsyncDisposable {
  readonly database: string
  readonly #installation: Installation
  readonly #server: ServerProcess
  readonly #certificates: ReadonlyMap<string, string>
  readonly #clients = new Map<string, BackendInterfacesClient>()
  readonly #administration: OpenAdministration
  readonly #desk: OrderDesk
  #removals: Change[] = []

  private constructor(
    installation: Installation,
    server: ServerProcess,
    certificates: ReadonlyMap<string, string>,
    administration: OpenAdministration,
  ) {
    this.database = join(installation.data, 'mortise.db')
    this.#installation = installation
    this.#server = server
    this.#certificates = certificates
    this.#administration = administration
    this.#desk = new OrderDesk(administration, openOperator({ data: installation.data }))
  }

  static async start(backend: Backend, peers: readonly PeerName[]): Promise<CaseServer> {
    await using cleanup = new AsyncDisposableStack()
    const installation = cleanup.use(await Installation.create(backend))
    const certificates = new Map<string, string>()
    for (const peer of peers) {
      const options = peer.nsId === undefined ? [] : ['--ns-id', peer.nsId]
      certificates.set(nameOf(peer), await addPeer(installation, peer.kind, peer.id, options))
    }
    const server = await installation.serve()
    const administration = await openAdministration({ data: installation.data })
    cleanup.move()
    return new CaseServer(installation, server, certificates, administration)
  }

  /** Removes the devices of the last call, and adds these devices and KEKs, by one order. */
  async enrol(devices: readonly CaseDevice[], keks: readonly CaseKek[]): Promise<void> {
    const keys: Uint8Array[] = []
    const place = (key: Uint8Array): number => keys.push(key) - 1
    const ids = devices.map(() => newId())
    const additions = devices.map((device, index) => this.#addition(ids[index]!, device, place))
    const kekSets = keks.map((kek) => this.#kekSet(kek, place))
    const report = await this.#desk.submit([...this.#removals, ...kekSets, ...additions], { keys })
    if (report.state !== 'adopted') throw new Error(`the order is not adopted:\n${this.#server.output}`)
    this.#removals = devices.map((device, index) => removal(ids[index]!, device))
  }

  /** A roaming agreement with a network server for every device. */
  async agree({ id }: PeerName): Promise<void> {
    await this.#installation.mortise('peer', 'agreement', 'add', '--ns', id, '--join-eui', '0000000000000000/0')
  }

  /** Posts `body` as it is, with the certificate of `caller`. */
  async post(caller: PeerName, body: string): Promise<Answer> {
    const answer = await this.#client(caller).post(body)
    return { status: answer.status, text: Buffer.from(answer.body).toString() }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const client of this.#clients.values()) await client.close()
    await this.#administration[Symbol.asyncDispose]()
    await this.#installation[Symbol.asyncDispose]()
  }

  #client(caller: PeerName): BackendInterfacesClient {
    const name = nameOf(caller)
    const client = this.#clients.get(name) ?? connectPeer(this.#server, this.#certificates.get(name)!)
    this.#clients.set(name, client)
    return client
  }

  #addition(id: string, device: CaseDevice, place: (key: Uint8Array) => RootKeySource): Change {
    const { rootKeys, ...record } = device
    return {
      action: 'device.add',
      device: id,
      owner: this.#desk.owner,
      ...record,
      networkIsApplicationServer: false,
      appKey: place(rootKeys.appKey),
      ...(rootKeys.nwkKey && { nwkKey: place(rootKeys.nwkKey) }),
    }
  }

  #kekSet({ kind, id, label, key }: CaseKek, place: (key: Uint8Array) => number): Change {
    const { owner } = this.#desk
    const size = key.length as KekSize
    return { action: 'kek.set', kek: newId(), kind, recipient: id, owner, label, size, key: place(key) }
  }
}

function removal(device: string, { devEui, joinEui }: CaseDevice): Change {
  return { action: 'device.remove', device, devEui, joinEui, replaces: 1 }
}

function nameOf({ kind, id }: PeerName): string {
  return `${kind} ${id}`
}

function newId(): string {
  return randomBytes(16).toString('hex')
}
