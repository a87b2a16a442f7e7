import { FloorProcess } from './floor-process.ts'
import { HsmAlone } from './hsm-alone.ts'
import type { BenchInstallation } from './installation.ts'
import type { JoinBenchOptions, Row } from './join-options.ts'
import { LoadProcess } from './load-process.ts'
import type { Contender } from './measure.ts'
import { FREE, GENERATOR, type Layouts, SERVER, SUPERVISOR, WORKER } from './pinning.ts'
import { childrenOf, type ProcessGroup } from './processes.ts'
import { ServerProcess } from './server-process.ts'

/** What contenders of one fleet are started with. */
export interface Arena {
  readonly options: Pick<JoinBenchOptions, 'rows' | 'cpuProfile'>
  /** With `--pin`. */
  readonly layouts: Layouts | undefined
  /** Row (e) too. */
  readonly newConnections: boolean
  /** Absent when nothing is measured with the soft HSM. */
  readonly soft: BenchInstallation | undefined
  /** Absent when SoftHSM2 is not measured. */
  readonly softHsm2: BenchInstallation | undefined
  /** Ends everything again. */
  readonly stack: AsyncDisposableStack
}

/** Starts everything that the rows need. They wait idle for their turns. @throws CliError bench_failed */
export async function startContenders(arena: Arena): Promise<Contender[]> {
  const soft = arena.soft === undefined ? [] : await startSoft(arena, arena.soft)
  const softHsm2 = arena.softHsm2 === undefined ? [] : await startSoftHsm2(arena, arena.softHsm2)
  return [...soft, ...softHsm2].sort((a, b) => a.row.localeCompare(b.row))
}

type Unnamed = Omit<Contender, 'row' | 'title'>

/** (a), (b) and (e). */
async function startSoft(arena: Arena, soft: BenchInstallation): Promise<Contender[]> {
  const { options, newConnections } = arena
  const has = (row: Row) => options.rows.includes(row)
  const contenders: Contender[] = []
  const floor = has('a') || newConnections ? await startFloor(arena, soft) : undefined
  const product = has('b') || newConnections ? await startProduct(arena, soft) : undefined
  if (floor !== undefined && has('a')) contenders.push({ ...floor, row: 'a', title: 'bare HTTPS server' })
  if (product !== undefined && has('b')) contenders.push({ ...product, row: 'b', title: 'joins, soft HSM' })
  if (floor === undefined || product === undefined || !newConnections) return contenders
  const connect = { connect: 'new', comparedWith: 'e0' } as const
  contenders.push({ ...floor, ...connect, row: 'e0', title: 'bare, a connection per join' })
  contenders.push({ ...product, ...connect, row: 'e', title: 'soft HSM, a connection per join' })
  return contenders
}

async function startFloor({ stack, layouts }: Arena, installation: BenchInstallation): Promise<Unnamed> {
  const floor = stack.use(await FloorProcess.start(installation))
  const load = stack.use(new LoadProcess(installation, 'floor', floor.port, 'constant'))
  const groups = [{ role: SERVER, pids: () => [floor.pid] }, generatorGroup(load)]
  return { drive: load, groups, layout: layouts?.product ?? FREE, ...KEPT_ALIVE }
}

async function startProduct({ options, stack, layouts }: Arena, installation: BenchInstallation): Promise<Unnamed> {
  const server = stack.use(await ServerProcess.start(installation, { cpuProfile: options.cpuProfile }))
  const load = stack.use(new LoadProcess(installation, 'product', server.biPort, 'join'))
  await load.selfTest()
  const groups = [...productGroups(server), generatorGroup(load)]
  return { drive: load, groups, layout: layouts?.product ?? FREE, ...KEPT_ALIVE }
}

/** (c), with `--pin` also with the worker on a core of its own, and (d) on that core. */
async function startSoftHsm2(arena: Arena, installation: BenchInstallation): Promise<Contender[]> {
  const { options, layouts, stack } = arena
  const contenders: Contender[] = []
  // Before the product opens it. An HSM is open once: what is measured alone has a directory of its own.
  const copied = options.rows.includes('d') ? installation.copy(`${installation.root}-alone`) : undefined
  const product = await startProduct(arena, installation)
  const workers = product.groups.find(({ role }) => role === WORKER)?.pids().length ?? 1
  if (options.rows.includes('c')) {
    contenders.push({ ...product, row: 'c', title: 'joins, SoftHSM2' })
    if (layouts !== undefined)
      contenders.push({ ...product, layout: layouts.workerAlone, row: 'c1', title: 'SoftHSM2, worker on its own core' })
  }
  if (copied !== undefined) {
    const alone = stack.use(await HsmAlone.start(copied, workers))
    const groups = [{ role: WORKER, pids: () => alone.pids }]
    const settings = { ...KEPT_ALIVE, paced: false, layout: layouts?.workerAlone ?? FREE }
    contenders.push({ ...settings, drive: alone, groups, row: 'd', title: 'SoftHSM2 alone' })
  }
  return contenders
}

const KEPT_ALIVE = { connect: 'kept-alive', comparedWith: 'a', paced: true } as const

/** The processes of `mortise serve`; workers that wear out are replaced by their supervisor. */
export function productGroups({ pids: { server, supervisor } }: ServerProcess): ProcessGroup[] {
  return [
    { role: SERVER, pids: () => [server] },
    { role: SUPERVISOR, pids: () => [supervisor] },
    { role: WORKER, pids: () => childrenOf(supervisor), parent: supervisor },
  ]
}

export function generatorGroup({ pid }: LoadProcess): ProcessGroup {
  return { role: GENERATOR, pids: () => [pid] }
}
