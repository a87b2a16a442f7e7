import { writeFileSync } from 'node:fs'
import { type Koffi, loadKoffi, NativeMemory } from '../pkcs11/native-memory.ts'
import { maySwap } from './swap.ts'

/** linux/prctl.h and asm-generic/resource.h. */
const PR_GET_DUMPABLE = 3
const PR_SET_DUMPABLE = 4
const RLIMIT_CORE = 4
const RLIMIT_BYTES = 16
/** On the command line of a worker whose supervisor has said what stays open. */
const TOLD = '--protection-told'

let told = false

/** What to start another process of the boundary with, so that it does not repeat what this one has said. */
export function protectionFlags(): string[] {
  return told ? [TOLD] : []
}

/**
 * Closes the memory of this process: no core dump, no debugger and no /proc/PID/mem for other processes of its user. To
 * be called before a secret is read; a program started anew begins open. What stays open is told in one line, unless the
 * process that started this one has told it.
 */
export function protectProcess(tell: (line: string) => void): void {
  const open = process.platform === 'linux' ? whatStaysOpen(closeMemory()) : [NOT_LINUX]
  told = open.length > 0
  if (told && !process.argv.includes(TOLD))
    tell(`memory is not protected against ${open.join(', ')}; see docs/threat-model.md`)
}

const NOT_LINUX = 'core dumps, debuggers and swap (this system is not Linux)'

/** What was tried to close the memory, and whether it holds. */
export interface ClosedMemory {
  /** Core dumps of this process have no memory in them. */
  readonly emptyCoreDumps: boolean
  /** The calls that need native code; `missing` without koffi. */
  readonly calls: { readonly undumpable: boolean; readonly noCoreDumps: boolean } | 'missing'
  readonly swap: boolean
}

/** What stays open, each with what to do about it. */
export function whatStaysOpen({ emptyCoreDumps, calls, swap }: ClosedMemory): string[] {
  const { undumpable, noCoreDumps } = calls === 'missing' ? { undumpable: false, noCoreDumps: false } : calls
  const remedy =
    calls === 'missing' ? 'install the optional package koffi' : 'this system refuses prctl PR_SET_DUMPABLE'
  const open: string[] = []
  if (!undumpable) open.push(`debuggers of the same user (${remedy})`)
  if (!noCoreDumps && !emptyCoreDumps) open.push('core dumps (ulimit -c 0)')
  if (swap) open.push('swap (swapoff -a, encrypt it, or systemd: MemorySwapMax=0)')
  return open
}

function closeMemory(): ClosedMemory {
  // Before the rest: this file is closed to the process itself once it is not dumpable. What another program makes of a
  // crash then holds no memory, also where the calls below are not to be had.
  const emptyCoreDumps = writesEmptyCoreDumps()
  const koffi = koffiIfThere()
  const calls =
    koffi === undefined
      ? 'missing'
      : { noCoreDumps: holds(() => forbidsCoreDumps(koffi)), undumpable: holds(() => becomesUndumpable(koffi)) }
  return { emptyCoreDumps, calls, swap: maySwap() }
}

/** Core dumps then have no memory in them (core(5), coredump_filter); needs no native code. */
function writesEmptyCoreDumps(): boolean {
  return holds(() => {
    writeFileSync('/proc/self/coredump_filter', '0')
    return true
  })
}

function koffiIfThere(): Koffi | undefined {
  try {
    return loadKoffi()
  } catch {
    return undefined
  }
}

function forbidsCoreDumps(koffi: Koffi): boolean {
  const setrlimit = koffi.load(null).func('setrlimit', 'int', ['int', 'void *']) as (
    resource: number,
    limit: bigint,
  ) => number
  return setrlimit(RLIMIT_CORE, new NativeMemory(RLIMIT_BYTES).address) === 0
}

function becomesUndumpable(koffi: Koffi): boolean {
  const prctl = koffi.load(null).func('prctl', 'int', ['int', 'ulong', 'ulong', 'ulong', 'ulong']) as (
    ...args: number[]
  ) => number
  prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)
  return prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) === 0
}

/** Whether a measure can be taken and holds. One that fails must not keep another from being tried. */
function holds(measure: () => boolean): boolean {
  try {
    return measure()
  } catch {
    return false
  }
}
