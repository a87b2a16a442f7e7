import { spawn } from 'node:child_process'
import { X509Certificate } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Change, KekKind } from '@mortise/hsm'
import { MAC_VERSIONS, type NetId, parseDevEui, parseJoinEui, parseNetId } from '@mortise/lorawan'
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
import type { Secrets } from '../../support/memory.ts'
import type { FuzzDevice } from '../lorawan.ts'
import { Random } from '../random.ts'

/** Who calls. The kind is the peer's; those without one are nobody's. */
export const CALLERS = {
  clear: { kind: 'ns', id: '000013' },
  wrapped: { kind: 'ns', id: '000024' },
  unwelcome: { kind: 'ns', id: '00002a' },
  disabled: { kind: 'ns', id: '00002c' },
  named: { kind: 'as', id: 'doors.example' },
  second: { kind: 'as', id: 'windows.example' },
  keyless: { kind: 'as', id: 'keyless.example' },
  other: { kind: 'as', id: 'other.example' },
  stranger: undefined,
  nobody: undefined,
} as const satisfies Record<string, { kind: KekKind; id: string } | undefined>

export type Caller = keyof typeof CALLERS
const PEERS = ['clear', 'wrapped', 'unwelcome', 'disabled', 'named', 'second', 'keyless', 'other'] as const

export interface Kek {
  readonly kind: KekKind
  readonly recipient: string
  readonly label: string
  readonly value: Buffer
}

/** A device and what its owner allows. */
export interface EnrolledDevice extends FuzzDevice {
  readonly networks: readonly string[]
  readonly applicationServers: readonly string[]
}

export interface SeedDevices {
  /** Each is used by one case at a time. */
  readonly exclusive: readonly EnrolledDevice[]
  /** Any number of cases use them at once. */
  readonly shared: readonly EnrolledDevice[]
}

export const EXCLUSIVE_DEVICES = 128
const SHARED_DEVICES = 8
const HEAP_MB = 160
const KEK_SIZES = { wrapped: 16, named: 32, second: 24, other: 16 } as const

const NS_KEK = kekOf('wrapped', 'ns-kek-1')
export const KEKS: readonly Kek[] = [
  NS_KEK,
  kekOf('named', 'as-kek-1'),
  kekOf('second', 'as-kek-1'),
  kekOf('other', 'as-kek-1'),
]

/** An installation, served, with the peers and KEKs above, and the devices of some seeds. */
export class BiWorld implements AsyncDisposable {
  readonly installation: Installation
  readonly server: ServerProcess
  readonly certificates: ReadonlyMap<Caller, CertificateAndKey>
  readonly #devices = new Map<number, SeedDevices>()

  private constructor(
    installation: Installation,
    server: ServerProcess,
    certificates: ReadonlyMap<Caller, CertificateAndKey>,
  ) {
    this.installation = installation
    this.server = server
    this.certificates = certificates
  }

  static async create(seeds: readonly number[]): Promise<BiWorld> {
    await using cleanup = new AsyncDisposableStack()
    const installation = cleanup.use(await Installation.create('soft'))
    const server = cleanup.adopt(serve(installation), (started) => started.kill())
    await server.ready(installation)
    const world = new BiWorld(installation, server, await makeCertificates())
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
    await this.installation[Symbol.asyncDispose]()
  }

  async #addPeers(desk: OrderDesk): Promise<void> {
    const pems = PEERS.map((caller) => new X509Certificate(this.certificates.get(caller)?.certificate ?? '').toString())
    const peers = PEERS.map((caller, index): Change => {
      const certificate = certificateFingerprint(pems[index] ?? '')
      return { action: 'peer.add', peer: idOf('peer', index), ...CALLERS[caller], protocol: '1.0', certificate }
    })
    const keks = KEKS.map(({ kind, recipient, label, value }, index): Change => {
      const size = value.length === 16 ? 16 : value.length === 24 ? 24 : 32
      const names = { kek: idOf('kek', index), owner: desk.owner, kind, recipient, label }
      return { action: 'kek.set', ...names, size, key: index }
    })
    await adopt(desk, [...peers, ...keks], { certificates: pems, keys: KEKS.map(({ value }) => value) })
    const disabled = { peer: idOf('peer', PEERS.indexOf('disabled')), ...CALLERS.disabled }
    await adopt(desk, [{ action: 'peer.disable', ...disabled }])
  }

  async #enrol(desk: OrderDesk, seed: number): Promise<void> {
    const random = new Random(seed, 0x0de71ce5)
    const exclusive = Array.from({ length: EXCLUSIVE_DEVICES }, (_, index) => makeDevice(random, index))
    // Of one version, whose DevNonces are not in order, and with everything allowed: see makeDevice.
    const shared = Array.from({ length: SHARED_DEVICES }, () => makeDevice(random, 3))
    this.#devices.set(seed, { exclusive, shared })
    const keys: Buffer[] = []
    const changes = [...exclusive, ...shared].map(
      ({ devEui, joinEui, macVersion, appKey, nwkKey, ...policy }): Change => ({
        action: 'device.add',
        device: random.bytes(16).toString('hex'),
        owner: desk.owner,
        devEui: parseDevEui(devEui),
        joinEui: parseJoinEui(joinEui),
        macVersion,
        appKey: keys.push(appKey) - 1,
        ...(nwkKey && { nwkKey: keys.push(nwkKey) - 1 }),
        applicationServers: policy.applicationServers,
        networks: policy.networks.map((netId): NetId => parseNetId(netId)),
        networkIsApplicationServer: false,
      }),
    )
    await adopt(desk, changes, { keys })
  }
}

/** Every sixth of a version; most with all that a device may have, some with less. */
function makeDevice(random: Random, index: number): EnrolledDevice {
  const macVersion = MAC_VERSIONS[index % MAC_VERSIONS.length] ?? '1.0.3'
  const peculiarity = index % 16
  return {
    devEui: random.bytes(8).toString('hex'),
    joinEui: random.bytes(8).toString('hex'),
    macVersion,
    appKey: random.bytes(16),
    nwkKey: macVersion === '1.1.0' ? random.bytes(16) : undefined,
    networks: peculiarity === 11 ? [] : peculiarity === 15 ? ['000013'] : ['000013', '000024'],
    applicationServers:
      peculiarity === 7 ? [] : peculiarity === 13 ? ['keyless.example'] : ['doors.example', 'windows.example'],
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
  const callers = [...PEERS, 'stranger' as const]
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

function kekOf(caller: keyof typeof KEK_SIZES, label: string): Kek {
  const { kind, id } = CALLERS[caller]
  return {
    kind,
    recipient: id,
    label,
    value: new Random(0x6b656b, KEK_SIZES[caller], id.length).bytes(KEK_SIZES[caller]),
  }
}

function idOf(what: string, index: number): string {
  return Buffer.from(what.padEnd(15, '-')).toString('hex') + index.toString(16).padStart(2, '0')
}
