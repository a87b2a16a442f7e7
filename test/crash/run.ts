import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { openOperator } from '@mortise/cli'
import { parseNetId } from '@mortise/lorawan'
import { dataDirectory } from '@mortise/server'
import { SESSIONS_KEPT } from '../../packages/server/src/storage/index.ts'
import { type Backend, Installation } from '../support/installation.ts'
import { addPeer, AS_ID, setKek } from '../support/parties.ts'
import { Ask } from './ask.ts'
import { type DatabaseContent, readDatabase } from './database.ts'
import { checkOrders, checkRefusedOrders, checkStates } from './final-checks.ts'
import { deviceFile, type FleetDevice, makeFleet } from './fleet.ts'
import { Killer } from './killer.ts'
import { Load } from './load.ts'
import { Model } from './model.ts'
import { Orders } from './orders.ts'
import { Random } from './random.ts'
import { type ChainSummary, checkChains } from './receipt-chains.ts'
import { Recovery } from './recovery.ts'
import type { CrashReport } from './report.ts'
import { makeSchedule } from './schedule.ts'
import { Service } from './service.ts'
import { TokenGuard } from './token-guard.ts'

export interface CrashOptions {
  readonly backend: Backend
  readonly kills: number
  readonly seed: number
  readonly devices?: number
  /** Called after each kill with the number of kills so far. */
  readonly progress?: (kills: number, model: Model) => void
}

/** One network with a KEK and one without; every device may be activated by both. */
const NETWORKS = [parseNetId('000013'), parseNetId('000024')]
const FURTHER_NETWORK = parseNetId('000035')
const DEFAULT_DEVICES = 240
const ORDERS_TIMEOUT_MS = 30_000
/** Chains of workers that died are closed by others, which try again every second. */
const CHAINS_MS = 1500

/** Kills `mortise serve` and its HSM processes under load, and checks every answer. Reports, and does not throw, violations. */
export async function runCrashes(options: CrashOptions): Promise<CrashReport> {
  const { backend, seed, kills, devices = DEFAULT_DEVICES } = options
  const startedMs = performance.now()
  await using cleanup = new AsyncDisposableStack()
  const installation = cleanup.use(await Installation.create(backend))
  const model = new Model()
  const fleet = makeFleet(devices, model)
  const keks = new Map<string, Uint8Array>()
  const peers = await setUp(installation, fleet, keks)

  const guard = cleanup.use(new TokenGuard(join(installation.root, 'softhsm')))
  const ended = (output: string): void => model.report('server_ended', output)
  const service = cleanup.use(new Service({ installation, peers, ended }))
  const recovery = new Recovery()
  const ask = new Ask({ service, model, keks, answered: (sentAtMs) => recovery.answered(sentAtMs) })
  const load = new Load({ fleet, networks: NETWORKS, ask, random: new Random(seed + 1) })
  const random = new Random(seed + 2)
  const parts = { service, fleet, random }
  const orders = new Orders({ ...parts, networks: NETWORKS, furtherNetwork: FURTHER_NETWORK, keks })
  const killed = (): void => options.progress?.(recovery.allKills, model)
  const killer = new Killer({ ...parts, load, orders, recovery, killed })

  service.start(1)
  load.start()
  const killing = killer.run(makeSchedule(seed, kills))
  try {
    await Promise.race([killing, load.failed])
  } finally {
    killer.stop()
    await killing.catch(() => undefined)
  }
  await load.stop()
  await orders.done()
  await finish(parts, load, orders, model)
  const { content, chains } = checkDatabase(installation, fleet, model, orders, service.hsmCrashes)
  return {
    ...{ backend, seed, devices, recovery, chains, counts: model.counts },
    seconds: (performance.now() - startedMs) / 1000,
    orders: {
      submitted: orders.submitted,
      acknowledged: orders.acknowledged.length,
      refused: orders.refused,
      stored: content.orders.length,
    },
    tokensRestored: guard.restored,
    violationCount: model.violationCount,
    violations: model.violations,
  }
}

/** Peers, their KEKs and the fleet, put in as an operator does. Returns the directories with the peers' certificates. */
async function setUp(
  installation: Installation,
  fleet: readonly FleetDevice[],
  keks: Map<string, Uint8Array>,
): Promise<Map<string, string>> {
  const server = await installation.serve()
  const peers = new Map<string, string>()
  for (const netId of NETWORKS) peers.set(netId, await addPeer(installation, 'ns', netId))
  peers.set(AS_ID, await addPeer(installation, 'as', AS_ID))
  keks.set('network-1', await setKek(installation, 'ns', NETWORKS[0] ?? '', 'network-1'))
  keks.set('owner-1', await setKek(installation, 'as', AS_ID, 'owner-1', 32))
  const file = installation.secret('devices.jsonl', deviceFile(fleet, NETWORKS))
  await installation.mortise('device', 'add', '--file', file)
  await server.kill('SIGTERM')
  return peers
}

/** After one more restart: what was left open is settled, every device's last join and all its sessions are there. */
async function finish(
  { service, fleet, random }: { service: Service; fleet: readonly FleetDevice[]; random: Random },
  load: Load,
  orders: Orders,
  model: Model,
): Promise<void> {
  await service.kill('everything', 1, random)
  await load.settle(fleet)
  await load.verify(fleet, SESSIONS_KEPT)
  const deadline = performance.now() + ORDERS_TIMEOUT_MS
  while ((await orders.waiting()) !== 0 && performance.now() < deadline) await delay(100)
  await delay(CHAINS_MS)
  await service.stop()
  model.finish()
}

function checkDatabase(
  installation: Installation,
  fleet: readonly FleetDevice[],
  model: Model,
  orders: Orders,
  hsmCrashes: readonly number[],
): { content: DatabaseContent; chains: ChainSummary } {
  const { hsm } = openOperator({ data: installation.data })
  const devEuis = fleet.map(({ identity }) => identity.devEui)
  const content = readDatabase(dataDirectory(installation.data).database, devEuis, Buffer.from(hsm.hsmId, 'hex'))
  if (content.integrity !== 'ok') model.report('database_damaged', content.integrity)
  checkStates(content, model.keySets, SESSIONS_KEPT, model.report)
  checkRefusedOrders(orders.refused, model.report)
  checkOrders(content, orders.acknowledged, model.report)
  const { receipts, heads } = content
  const receiptPublicKey = Buffer.from(hsm.receiptPublicKey, 'base64')
  const chains = checkChains({ receipts, heads, hsmId: hsm.hsmId, receiptPublicKey, hsmCrashes }, model.report)
  return { content, chains }
}
