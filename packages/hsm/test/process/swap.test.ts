import { describe, expect, test } from 'vitest'
import { forbidsSwap, hasSwap } from '../../src/process/swap.ts'

const HEADING = 'Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n'

describe('/proc/swaps', () => {
  test.each([
    [HEADING, false],
    [`${HEADING}/dev/zram0                              partition\t8388604\t\t0\t\t100\n`, true],
    [undefined, true],
  ])('%j: there is swap: %s', (swaps, expected) => {
    expect(hasSwap(swaps)).toBe(expected)
  })
})

describe('a control group', () => {
  const groups = '0::/system.slice/mortise-hsm.service\n'
  const files = (limits: Record<string, string>) => (path: string) => limits[path]

  test.each<[string, string, Record<string, string>, boolean]>([
    ['of its own', groups, { '/sys/fs/cgroup/system.slice/mortise-hsm.service/memory.swap.max': '0\n' }, true],
    ['above', groups, { '/sys/fs/cgroup/system.slice/memory.swap.max': '0\n' }, true],
    ['of a container', '0::/\n', { '/sys/fs/cgroup/memory.swap.max': '0\n' }, true],
    ['with some', groups, { '/sys/fs/cgroup/system.slice/mortise-hsm.service/memory.swap.max': 'max\n' }, false],
    ['beside', groups, { '/sys/fs/cgroup/user.slice/memory.swap.max': '0\n' }, false],
    ['of version 1', '4:memory:/system.slice\n', { '/sys/fs/cgroup/system.slice/memory.swap.max': '0\n' }, false],
  ])('%s', (_name, own, limits, expected) => {
    expect(forbidsSwap(own, files(limits))).toBe(expected)
  })
})
