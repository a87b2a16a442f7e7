import { spawn } from 'node:child_process'
import { X509Certificate } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Change, KekKind } from '@mortise/hsm'
import { type NetId, parseDevEui, parseJoinEui, parseNetId } from '@mortise/lorawan'
import { openAdministration } from '../../../packages/cli/src/administration.ts'
import {
  type CertificateAndKey,
  certificateFingerprint,
  createCa,
  issueClientCertificate,
} from '../../../packages/cli/src/certificates.ts'
import { MORTISE_BIN } from '../../../packages/cli/src/index.ts'
import { openOperator } from '../../../packages/cli/src/operator.ts'
import { OrderDesk } from '../../../packages/cli/src/orders.ts'
import { Installation, ServerProcess } from '../../support/installation.ts'
import { issueListenerTls } from '../../support/listener-tls.ts'
import type { Secrets } from '../../support/memory.ts'
import { Random } from '../random.ts'
import { type EnrolledDevice, makeDevice } from './devices.ts'
import { Inbox } from './inbox.ts'
import { AGREEMENTS, type Caller, KEKS, type Peer, PEER_NAMES, type PeerName, peerOf } from './peers.ts'

export interface SeedDevices {
  /** Each is used by one case at a time. */
  readonly exclusive: readonly EnrolledDevice[]
  /** Any number of cases use them at once. */
  readonly shared: readonly EnrolledDevice[]
}

export const EXCLUSIVE_DEVICES = 128
const SHARED_DEVICES = 8
const HEAP_MB = 160
/** An installation, served, with peers and KEKs (peers.ts), and the devices of some seeds. */
export class BiWorld implements AsyncDisposable {
  readonly installation: Installation
  readonly server: ServerProcess
  readonly certificates: ReadonlyMap<Caller, CertificateAndKey>
  /** Of the asynchronous network server. */
  readonly inbox: Inbox
  readonly #devices = new Map<number, SeedDevices>()

  private constructor(
    installation: Installation,
    server: ServerProcess,
    certificates: ReadonlyMap<Caller, CertificateAndKey>,
    inbox: Inbox,
  ) {
    this.installation = installation
    this.server = server
    this.certificates = certificates
    this.inbox = inbox
  }

  static async create(seeds: readonly number[]): Promise<BiWorld> {
    await using cleanup = new AsyncDisposableStack()
    const installation = cleanup.use(await Installation.create('soft'))
    const server = cleanup.adopt(serve(installation), (started) => started.kill())
    await server.ready(installation)
    const inbox = cleanup.use(await Inbox.listen(await issueListenerTls(installation)))
    const world = new BiWorld(installation, server, await makeCertificates(), inbox)
    await using administration = await openAdministration({ data: installation.data })
    const desk = new OrderDesk(administration, openOperator({ data: installation.data }))
    await world.#addPeers(desk)
    for (const seed of new Set(seeds)) await world.#enrol(desk, seed)
    cleanup.move()
    return world
  }

  get ca(): Buffer {
    return readFileSync(join(this.installation.data, 'ca.pem'))
  }

  devices(seed: number): SeedDevices {
    const devices = this.#devices.get(seed)
    if (devices === undefined) throw new RangeError(`no devices for seed ${seed}`)
    return devices
  }

  /** Every key that this test brought in, by name. */
  secrets(): Secrets {
    const keks = KEKS.map(({ kind, recipient, value }): [string, Buffer] => [`KEK of ${kind} ${recipient}`, value])
    const roots = [...this.#devices.values()]
      .flatMap(({ exclusive, shared }) => [...exclusive, ...shared])
      .flatMap(({ devEui, appKey, nwkKey }): [string, Buffer][] => [
        [`AppKey of ${devEui}`, appKey],
        ...(nwkKey === undefined ? [] : [[`NwkKey of ${devEui}`, nwkKey] as [string, Buffer]]),
      ])
    return new Map([...keks, ...roots])
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.server.kill()
    await this.inbox[Symbol.asyncDispose]()
    await this.installation[Symbol.asyncDispose]()
  }

  async #addPeers(desk: OrderDesk): Promise<void> {
    const pems = PEER_NAMES.map((name) =>
      new X509Certificate(this.certificates.get(name)?.certificate ?? '').toString(),
    )
    const peers = PEER_NAMES.map((name, index): Change => {
      const certificate = certificateFingerprint(pems[index] ?? '')
      const { dialect, nsId, kekOnly, asynchronous }: Partial<Peer> = peerOf(name) ?? {}
      return {
        action: 'peer.add',
        ...referenceTo(name),
        ...{ protocol: nsId === undefined ? '1.0' : '1.1', certificate },
        ...(dialect && { dialect }),
        ...(nsId && { nsId }),
        ...(kekOnly && { kekOnly }),
        ...(asynchronous && { asyncUrl: this.inbox.url }),
      }
    })
    const keks = KEKS.map(({ kind, recipient, label, value }, index): Change => {
      const size = value.length === 16 ? 16 : value.length === 24 ? 24 : 32
      const names = { kek: idFor('kek', index), owner: desk.owner, kind, recipient, label }
      return { action: 'kek.set', ...names, size, key: index }
    })
    await adopt(desk, [...peers, ...keks], { certificates: pems, keys: KEKS.map(({ value }) => value) })
    const agreements = AGREEMENTS.map(([name, { joinEui, bits }]): Change => {
      const { peer, id } = referenceTo(name)
      return { action: 'agreement.add', peer, id, kind: 'ns', joinEui: parseJoinEui(joinEui), bits }
    })
    await adopt(desk, [...agreements, { action: 'peer.disable', ...referenceTo('disabled') }])
  }

  async #enrol(desk: OrderDesk, seed: number): Promise<void> {
    const random = new Random(seed, 0x0de71ce5)
    const exclusive = Array.from({ length: EXCLUSIVE_DEVICES }, (_, index) => makeDevice(random, index))
    // Of one version, whose DevNonces are not in order, and with everything allowed: see makeDevice.
    const shared = Array.from({ length: SHARED_DEVICES }, () => makeDevice(random, 3))
    this.#devices.set(seed, { exclusive, shared })
    const keys: Buffer[] = []
    const changes = [...exclusive, ...shared].map(
      ({ deviceId, devEui, joinEui, macVersion, appKey, nwkKey, ...policy }): Change => ({
        action: 'device.add',
        device: deviceId,
        owner: desk.owner,
        devEui: parseDevEui(devEui),
        joinEui: parseJoinEui(joinEui),
        macVersion,
        appKey: keys.push(appKey) - 1,
        ...(nwkKey && { nwkKey: keys.push(nwkKey) - 1 }),
        applicationServers: policy.applicationServers,
        networks: policy.networks.map((netId): NetId => parseNetId(netId)),
        networkIsApplicationServer: policy.networkIsApplicationServer,
      }),
    )
    await adopt(desk, changes, { keys })
  }
}

/**
 * `mortise serve` with a heap that is small, but several times what the cases in flight need: left alone, V8 lets a heap
 * grow far beyond what is in it, as a leak would; and this one ends with a leak.
 */
function serve(installation: Installation): ServerProcess {
  const node = [process.execPath, `--max-old-space-size=${HEAP_MB}`, fileURLToPath(MORTISE_BIN)] as const
  const listen = ['--bi-listen', '127.0.0.1:0', '--api-listen', '127.0.0.1:0']
  const [file, ...options] = [
    ...node,
    'serve',
    ...installation.secretOption(),
    ...listen,
    '--data',
    installation.data,
  ] as const
  const environment = installation.environment
  return new ServerProcess(
    spawn(file, options, { cwd: installation.root, env: environment, stdio: ['ignore', 'pipe', 'pipe'] }),
  )
}

async function makeCertificates(): Promise<Map<Caller, CertificateAndKey>> {
  const ca = await createCa('peers of the fuzzer')
  const callers = [...PEER_NAMES, 'stranger' as const]
  return new Map(
    await Promise.all(
      callers.map(async (caller) => [caller, await issueClientCertificate(ca, caller)] as [Caller, CertificateAndKey]),
    ),
  )
}

async function adopt(
  desk: OrderDesk,
  changes: readonly Change[],
  material: Parameters<OrderDesk['submit']>[1] = {},
): Promise<void> {
  const { state } = await desk.submit(changes, material)
  if (state !== 'adopted') throw new Error(`an order is ${state}`)
}

function referenceTo(name: PeerName): { readonly peer: string; readonly kind: KekKind; readonly id: string } {
  const { kind, id } = peerOf(name) ?? { kind: 'ns', id: '' }
  return { peer: idFor('peer', PEER_NAMES.indexOf(name)), kind, id }
}

function idFor(what: string, index: number): string {
  return Buffer.from(what.padEnd(15, '-')).toString('hex') + index.toString(16).padStart(2, '0')
}
