import { readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'

const CGROUP_ROOT = '/sys/fs/cgroup'

/**
 * Whether the kernel may write memory of this process to swap: the machine has some, and no control group forbids it.
 * Node cannot lock its memory: V8 gives pages back with MADV_DONTNEED, the kernel refuses that for locked pages, and V8
 * then ends the process (tried with mlockall on Node 24.21).
 */
export function maySwap(): boolean {
  return hasSwap(readText('/proc/swaps')) && !forbidsSwap(readText('/proc/self/cgroup') ?? '', readText)
}

/** Whether `/proc/swaps`, a heading and a line for each area, lists one. What cannot be read may have any. */
export function hasSwap(swaps: string | undefined): boolean {
  return swaps === undefined || swaps.trimEnd().split('\n').length > 1
}

/** Whether a control group (version 2) of the process, or one above it, has `memory.swap.max` at 0. */
export function forbidsSwap(groups: string, read: (path: string) => string | undefined): boolean {
  const own = /^0::(\/.*)$/m.exec(groups)?.[1]
  if (own === undefined) return false
  for (let group = own; ; group = dirname(group)) {
    if (read(join(CGROUP_ROOT, group, 'memory.swap.max'))?.trim() === '0') return true
    if (group === '/') return false
  }
}

function readText(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return undefined
  }
}
