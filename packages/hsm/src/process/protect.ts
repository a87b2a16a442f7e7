import { writeFileSync } from 'node:fs'
import { loadKoffi, NativeMemory } from '../pkcs11/native-memory.ts'
import { maySwap } from './swap.ts'

/** linux/prctl.h and asm-generic/resource.h. */
const PR_GET_DUMPABLE = 3
const PR_SET_DUMPABLE = 4
const RLIMIT_CORE = 4
const RLIMIT_BYTES = 16

let said = ''

/** What was said of this process; empty when nothing is open. */
export function saidOfProtection(): string {
  return said
}

/**
 * Closes the memory of this process: no core dump, no debugger and no /proc/PID/mem for other processes of its user. To
 * be called before a secret is read; a program started anew begins open. What stays open is told in one line.
 * @param known what has been told already: a worker does not repeat its supervisor
 */
export function protectProcess(tell: (line: string) => void, known = ''): void {
  const open = closeMemory()
  said = open.length === 0 ? '' : `memory is not protected against ${open.join(', ')}; see docs/threat-model.md`
  if (said !== '' && said !== known) tell(said)
}

/** Returns what stays open, each with what to do about it. */
function closeMemory(): string[] {
  if (process.platform !== 'linux') return ['core dumps, debuggers and swap (this system is not Linux)']
  const open: string[] = []
  // Before the rest: this file is closed to the process itself once it is not dumpable. What another program makes of a
  // crash then holds no memory, also where the calls below are not to be had.
  const emptied = emptyCoreDumps()
  try {
    forbidDumps()
  } catch {
    open.push('debuggers of the same user (install the optional package koffi)')
    if (!emptied) open.push('core dumps (ulimit -c 0)')
  }
  if (maySwap()) open.push('swap (swapoff -a, encrypt it, or systemd: MemorySwapMax=0)')
  return open
}

/** A core dump has no memory in it (core(5), coredump_filter); needs no native code. */
function emptyCoreDumps(): boolean {
  try {
    writeFileSync('/proc/self/coredump_filter', '0')
    return true
  } catch {
    return false
  }
}

/** @throws when the calls cannot be made or do not hold */
function forbidDumps(): void {
  const program = loadKoffi().load(null)
  const prctl = program.func('prctl', 'int', ['int', 'ulong', 'ulong', 'ulong', 'ulong']) as (
    ...args: number[]
  ) => number
  const setrlimit = program.func('setrlimit', 'int', ['int', 'void *']) as (resource: number, limit: bigint) => number
  const none = new NativeMemory(RLIMIT_BYTES)
  const limited = setrlimit(RLIMIT_CORE, none.address) === 0
  prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)
  if (!limited || prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) !== 0) throw new Error('the kernel did not take it')
}
