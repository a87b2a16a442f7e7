import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { statSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { expect, onTestFinished, test } from 'vitest'
import { directory } from '../pipeline/scene.ts'
import { open, waiting } from './open.ts'

const PROGRAM = fileURLToPath(new URL('queue-process.ts', import.meta.url))

const POLL = { interval: 5, timeout: 20_000 }

interface Running {
  readonly child: ChildProcess
  readonly lines: string[]
}

function start(path: string, prefix: string): Running {
  const child = spawn(process.execPath, [PROGRAM, path, prefix], { stdio: ['ignore', 'pipe', 'inherit'] })
  onTestFinished(() => void child.kill('SIGKILL'))
  const lines: string[] = []
  createInterface({ input: child.stdout }).on('line', (line) => lines.push(line))
  return { child, lines }
}

async function kill({ child }: Running): Promise<void> {
  const closed = once(child, 'close')
  child.kill('SIGKILL')
  await closed
}

test('what was kept is there after a kill, once, and the directory is free', async () => {
  const path = directory()
  const kept: string[] = []
  for (const [round, count] of [3, 40, 111].entries()) {
    const running = start(path, `${round}-`)
    await expect.poll(() => running.lines.length, POLL).toBeGreaterThan(count)
    await kill(running)
    kept.push(...running.lines.filter((line) => line.startsWith('kept ')).map((line) => line.slice('kept '.length)))
  }
  await using queue = open(path)
  const there = waiting(queue)
  expect(new Set(there).size).toBe(there.length)
  const delivered = (topic: string): boolean => Number(/-(\d+)/.exec(topic)?.[1]) % 2 === 1
  expect(kept.filter((topic) => !delivered(topic) && !there.includes(topic))).toEqual([])
  // Beyond that, only what a killed process had not printed yet, or not yet taken out.
  expect(there.length).toBeLessThanOrEqual(kept.filter((topic) => !delivered(topic)).length + 2 * 3)
})

test('a file that may not grow: events are refused and said to be, what waits can still go, and it works again', async () => {
  const path = directory()
  const running = start(path, 'a-')
  const { pid } = running.child
  const refused = (): string[] => running.lines.filter((line) => line.startsWith('refused'))
  const keptAfter = (from: number): number => running.lines.slice(from).filter((line) => line.startsWith('kept')).length
  await expect.poll(() => running.lines.length, POLL).toBeGreaterThan(50)
  const sizes = ['queue.db', 'queue.db-wal'].map((name) => statSync(join(path, name)).size)
  execFileSync('prlimit', ['--pid', String(pid), `--fsize=${Math.max(...sizes)}:`])
  await expect.poll(() => refused().length, POLL).toBeGreaterThan(20)
  expect(refused()[0]).toMatch(/^refused queue_failed the disk takes no events: /)
  const before = running.lines.length
  execFileSync('prlimit', ['--pid', String(pid), '--fsize=unlimited:'])
  await expect.poll(() => keptAfter(before), POLL).toBeGreaterThan(50)
  await kill(running)
  const topics = (what: string): string[] =>
    running.lines.filter((line) => line.startsWith(`${what} `)).map((line) => line.slice(what.length + 1))
  expect(topics('gone').length).toBeGreaterThan(0)
  await using queue = open(path, { maxEvents: 1e6, maxBytes: 2 ** 30 })
  const accounted = new Set([...waiting(queue), ...topics('delivered')])
  const even = topics('kept').filter((topic) => Number(/-(\d+)/.exec(topic)?.[1]) % 2 === 0)
  expect(even.filter((topic) => !accounted.has(topic))).toEqual([])
  expect(queue.problem).toBeUndefined()
})
