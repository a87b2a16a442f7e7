import { execFileSync } from 'node:child_process'
import { copyFileSync, existsSync, readFileSync, realpathSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { BIN, initialise, json, mortise, type RunOptions, start, Workplace } from './mortise.ts'

let place: Workplace
let old: RunOptions
beforeAll(async () => {
  place = new Workplace()
  old = oldNode()
  await initialise(place)
})
afterAll(() => {
  place[Symbol.dispose]()
})

/** A Node below 24 if the machine has one; else this one, which takes itself for one. */
function oldNode(): RunOptions {
  const found = (process.env['PATH'] ?? '')
    .split(delimiter)
    .concat('/usr/local/bin', '/usr/bin')
    .map((directory) => join(directory, 'node'))
    .filter((path) => existsSync(path) && realpathSync(path) !== realpathSync(process.execPath))
    .find((path) => Number(/^v(\d+)/.exec(execFileSync(path, ['--version'], { encoding: 'utf8' }))?.[1]) < 24)
  if (found !== undefined) return { node: found }
  const pretend = place.secret(
    'pretend-old.mjs',
    "Object.defineProperty(process, 'versions', { value: { ...process.versions, node: '20.0.0' } })",
  )
  return { nodeOptions: ['--import', pretend] }
}

describe('the launcher, on a Node that is too old', () => {
  test('runs commands with the bundled Node', async () => {
    const { code, stdout } = await mortise(['status', '--data', place.data, '--json'], old)
    expect(code).toBe(0)
    expect(JSON.parse(stdout)).toMatchObject({ running: false, devices: 0 })
  })

  test('passes the exit code on', async () => {
    expect((await mortise(['status', '--data', place.path('none')], old)).code).toBe(1)
    expect((await mortise(['frobnicate'], old)).code).toBe(2)
  })

  test('says what to do when there is no bundled Node', async () => {
    const bin = place.path('mortise.mjs')
    copyFileSync(BIN, bin)
    const { code, stderr } = await mortise(['status'], { ...old, bin })
    expect(code).toBe(1)
    expect(stderr).toMatch(/is too old: Mortise needs Node 24[^]*mortise: hint: run `npm ci`/)
  })

  test.each(['SIGTERM', 'SIGINT', 'SIGKILL'] as const)(
    'that gets %s leaves no server and no HSM process behind',
    async (signal) => {
      const words = ['serve', '--data', place.data, '--passphrase-file', place.passphraseFile]
      const launcher = start([...words, '--bi-listen', '127.0.0.1:0', '--api-listen', '127.0.0.1:0'], old)
      const stopped = new Promise((resolve) => launcher.once('exit', resolve))
      await new Promise((resolve) => launcher.stdout?.once('data', resolve))
      await until(
        async () => (await json<{ hsm: { state: string } }>(['status', '--data', place.data])).hsm.state === 'ready',
      )
      const family = familyOf(launcher.pid ?? 0)
      const titles = family.map(titleOf)
      expect(titles).toEqual(expect.arrayContaining(['mortise launcher', 'mortise serve', 'mortise hsm serve']))
      expect(titles.filter((title) => !/hsm/.test(title))).toEqual(['mortise launcher', 'mortise serve'])
      launcher.kill(signal)
      await stopped
      await until(() => Promise.resolve(family.every((pid) => titleOf(pid) === '')))
    },
  )
})

async function until(holds: () => Promise<boolean>): Promise<void> {
  const deadline = Date.now() + 15_000
  while (!(await holds())) {
    if (Date.now() > deadline) throw new Error('it did not come true in time')
    await delay(50)
  }
}

function familyOf(pid: number): number[] {
  const children = readProc(`/proc/${pid}/task/${pid}/children`).split(' ').filter(Boolean).map(Number)
  return [pid, ...children.flatMap(familyOf)]
}

/** Empty when the process has ended. */
function titleOf(pid: number): string {
  return readProc(`/proc/${pid}/cmdline`).replace(/\0+$/, '')
}

function readProc(path: string): string {
  try {
    return readFileSync(path, 'latin1')
  } catch {
    return ''
  }
}
