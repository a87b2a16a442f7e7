import { readdirSync, readFileSync } from 'node:fs'

/** Processes of this machine as /proc shows them. */
export interface ProcessInfo {
  readonly pid: number
  readonly parent: number
  readonly command: string
}

export function listProcesses(): ProcessInfo[] {
  return readdirSync('/proc').flatMap((name) => {
    if (!/^\d+$/.test(name)) return []
    try {
      const command = readFileSync(`/proc/${name}/cmdline`, 'utf8').replaceAll('\0', ' ').trim()
      const stat = readFileSync(`/proc/${name}/stat`, 'utf8')
      // The name in parentheses may hold anything; the parent comes second after it.
      const parent = Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1])
      return [{ pid: Number(name), parent, command }]
    } catch {
      // It ended meanwhile.
      return []
    }
  })
}

/**
 * The environment of a process as it was started, or undefined where the kernel does not show it: root alone sees that of
 * a process of the trust boundary.
 */
export function environmentOf(pid: number): Buffer | undefined {
  try {
    return readFileSync(`/proc/${pid}/environ`)
  } catch (error) {
    if (process.getuid?.() === 0) throw error
    return undefined
  }
}

/** All descendants of a process. */
export function descendantsOf(pid: number): ProcessInfo[] {
  const all = listProcesses()
  const found: ProcessInfo[] = []
  const queue = [pid]
  for (let parent = queue.shift(); parent !== undefined; parent = queue.shift()) {
    const children = all.filter((process) => process.parent === parent)
    found.push(...children)
    queue.push(...children.map((child) => child.pid))
  }
  return found
}

/** Whether the command line says that a process belongs to the trust boundary. */
export function isTrustBoundary({ command }: ProcessInfo): boolean {
  return command.split(' ').includes('hsm') || command.includes('/hsm/')
}

/** The HSM processes below `pid`: the supervisor, and the workers below it. */
export function trustBoundaryOf(pid: number): { supervisor: ProcessInfo; workers: ProcessInfo[] } {
  const processes = descendantsOf(pid).filter(isTrustBoundary)
  const pids = new Set(processes.map((process) => process.pid))
  const supervisor = processes.find((process) => !pids.has(process.parent))
  if (supervisor === undefined) throw new Error('no HSM process')
  return { supervisor, workers: processes.filter((process) => process !== supervisor) }
}
