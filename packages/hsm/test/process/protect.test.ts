import { execFileSync } from 'node:child_process'
import { describe, expect, test } from 'vitest'
import { type ClosedMemory, whatStaysOpen } from '../../src/process/protect.ts'

const PROTECT = new URL('../../src/process/protect.ts', import.meta.url).href
const CLOSED: ClosedMemory = {
  emptyCoreDumps: true,
  calls: { undumpable: true, noCoreDumps: true },
  swap: false,
}
const DEBUGGERS = 'debuggers of the same user'

describe('what stays open of the memory of a process', () => {
  test.each<[string, Partial<ClosedMemory>, string[]]>([
    ['everything holds', {}, []],
    ['koffi is missing', { calls: 'missing' }, [`${DEBUGGERS} (install the optional package koffi)`]],
    [
      'koffi is missing, and core dumps cannot be emptied',
      { calls: 'missing', emptyCoreDumps: false },
      [`${DEBUGGERS} (install the optional package koffi)`, 'core dumps (ulimit -c 0)'],
    ],
    [
      'prctl is refused',
      { calls: { undumpable: false, noCoreDumps: true } },
      [`${DEBUGGERS} (this system refuses prctl PR_SET_DUMPABLE)`],
    ],
    ['setrlimit is refused, core dumps are empty', { calls: { undumpable: true, noCoreDumps: false } }, []],
    [
      'setrlimit is refused, and core dumps cannot be emptied',
      { calls: { undumpable: true, noCoreDumps: false }, emptyCoreDumps: false },
      ['core dumps (ulimit -c 0)'],
    ],
    ['there is swap', { swap: true }, ['swap (swapoff -a, encrypt it, or systemd: MemorySwapMax=0)']],
  ])('%s', (_name, broken, open) => {
    expect(whatStaysOpen({ ...CLOSED, ...broken })).toEqual(open)
  })
})

/** A real process on a system where something stays open, or so it says: this is no test of the system that it runs on. */
function said(...args: string[]): string[] {
  const script = `Object.defineProperty(process, 'platform', { value: 'elsewhere' })
    const { protectionFlags, protectProcess } = await import('${PROTECT}')
    protectProcess((line) => console.log(line))
    console.log(protectionFlags().join())`
  const options = ['--input-type=module', '-e', script, '--', ...args]
  return execFileSync(process.execPath, options, { encoding: 'utf8' }).trimEnd().split('\n')
}

describe('what stays open', () => {
  test('is told in one line, and a process that was told so does not repeat it, but tells its own children', () => {
    const [line, flags = ''] = said()
    expect(line).toMatch(/^memory is not protected against .*; see docs\/threat-model\.md$/)
    expect(flags).toBe('--protection-told')
    expect(said(flags)).toEqual([flags])
  })
})
