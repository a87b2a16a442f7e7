import { spawnSync } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'

/** Times in /proc/PID/stat are in these (`getconf CLK_TCK`: 100 on every Linux of today). */
const TICKS_PER_SECOND = 100
/** Places in /proc/PID/stat after the name in brackets: see proc_pid_stat(5). */
const PARENT = 1
const OWN_TIMES = [11, 12]
const ENDED_CHILDREN_TIMES = [13, 14]

/** Processes that play one part, such as the workers of the HSM. */
export interface ProcessGroup {
  readonly role: string
  /** Those that run now. */
  readonly pids: () => readonly number[]
  /** Whoever starts them anew: what its ended children used is counted too. */
  readonly parent?: number
}

/** What the processes of a group have used so far. */
export interface GroupUse {
  /** Of all threads, in seconds. */
  readonly cpuSeconds: number
  readonly residentBytes: number
  readonly processes: number
}

export function readGroup({ pids, parent }: ProcessGroup): GroupUse {
  const running = pids().flatMap((pid) => readProcess(pid) ?? [])
  const ended = parent === undefined ? 0 : seconds(statFields(parent) ?? [], ENDED_CHILDREN_TIMES)
  return {
    cpuSeconds: running.reduce((sum, { cpuSeconds }) => sum + cpuSeconds, ended),
    residentBytes: running.reduce((sum, { residentBytes }) => sum + residentBytes, 0),
    processes: running.length,
  }
}

/** Places in the first line of /proc/stat after its name: everything but idle and waiting for a disk. */
const BUSY_TIMES = [0, 1, 2, 5, 6, 7]

/** What all processes of this machine, and its kernel, have used so far, in seconds. */
export function machineCpuSeconds(): number {
  const [all = ''] = readFileSync('/proc/stat', 'utf8').split('\n')
  return seconds(all.split(/\s+/).slice(1), BUSY_TIMES)
}

/** The children of a process, oldest first. */
export function childrenOf(pid: number): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((child) => Number(statFields(child)?.[PARENT]) === pid)
    .sort((a, b) => a - b)
}

/** Binds every thread of a process to one core; one that has ended meanwhile is nobody's loss. */
export function pinProcess(pid: number, core: number): void {
  const { status, stderr } = spawnSync('taskset', ['--all-tasks', '--cpu-list', '--pid', String(core), String(pid)])
  if (status !== 0 && statFields(pid) !== undefined)
    throw new Error(`taskset could not bind process ${pid} to core ${core}: ${stderr.toString().trim()}`)
}

/** The cores that this process may use. */
export function allowedCores(): number[] {
  const list = /^Cpus_allowed_list:\s+(\S+)$/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1] ?? '0'
  return list.split(',').flatMap((range) => {
    const [first = 0, last = first] = range.split('-').map(Number)
    return Array.from({ length: last - first + 1 }, (_, index) => first + index)
  })
}

function readProcess(pid: number): { cpuSeconds: number; residentBytes: number } | undefined {
  const stat = statFields(pid)
  if (stat === undefined) return undefined
  const status = readProc(pid, 'status') ?? ''
  const residentKib = Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1] ?? 0)
  return { cpuSeconds: seconds(stat, OWN_TIMES), residentBytes: 1024 * residentKib }
}

function seconds(stat: readonly string[], places: readonly number[]): number {
  return places.reduce((ticks, place) => ticks + Number(stat[place] ?? 0), 0) / TICKS_PER_SECOND
}

/** The second field is a name in brackets that may hold blanks and brackets; undefined when there is no such process. */
function statFields(pid: number): string[] | undefined {
  const stat = readProc(pid, 'stat')
  return stat?.slice(stat.lastIndexOf(')') + 2).split(' ')
}

function readProc(pid: number, file: string): string | undefined {
  try {
    return readFileSync(`/proc/${pid}/${file}`, 'utf8')
  } catch {
    return undefined
  }
}
