import type { ChildProcess } from 'node:child_process'
import { mkdirSync, readdirSync, readFileSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { start, transcriptOf, type Transcript, Workplace } from './mortise.ts'

/** A play that is broken off must leave nobody behind, and no directory with a passphrase in it. */
const TIMEOUT_MS = 60_000

let place: Workplace
beforeEach(() => {
  place = new Workplace()
  mkdirSync(place.path('t'))
})
afterEach(() => {
  place[Symbol.dispose]()
})

const DEMO = ['demo', '--devices', '200']
const DOORS = ['demo', 'doors', '--devices', '200']

/** A play that has everybody on the stage. */
interface Play {
  readonly child: ChildProcess
  readonly ended: Promise<Transcript>
  readonly family: readonly number[]
}

/** Resolves when every one of `titles` runs below it. */
async function play(words: readonly string[], titles: readonly string[]): Promise<Play> {
  const child = start(words, { env: { TMPDIR: place.path('t') }, cwd: place.root })
  const ended = transcriptOf(child)
  let family: number[] = []
  await until(() => {
    family = familyOf(child.pid ?? 0)
    const running = family.map(titleOf)
    return titles.every((title) => running.some((one) => one.includes(title)))
  })
  expect(readdirSync(place.path('t'))).toHaveLength(1)
  return { child, ended, family }
}

async function nothingIsLeft(family: readonly number[]): Promise<void> {
  await until(() => family.every((pid) => titleOf(pid) === ''))
  expect(readdirSync(place.path('t'))).toEqual([])
}

describe('a play that is broken off', () => {
  test.each([
    ['SIGTERM', 143, DEMO],
    ['SIGHUP', 129, DEMO],
    ['SIGINT', 130, DEMO],
    ['SIGTERM', 143, DOORS],
  ] as const)(
    'by %s leaves nothing behind, and ends with code %i: %j',
    async (signal, code, words) => {
      const broker = words === DOORS ? ['mosquitto.conf', 'mortise bridge run'] : ['mortise hsm serve']
      const { child, ended, family } = await play(words, ['mortise serve', ...broker])
      child.kill(signal)
      expect(await ended).toMatchObject({ code, stderr: '' })
      await nothingIsLeft(family)
    },
    TIMEOUT_MS,
  )

  test.each([
    ['demo', DEMO],
    ['demo doors', DOORS],
  ] as const)(
    'because nobody reads on leaves nothing behind: %s',
    async (_which, words) => {
      const { child, ended, family } = await play(words, ['mortise serve', 'mortise hsm serve'])
      child.stdout?.destroy()
      expect(await ended).toMatchObject({ code: 0, stderr: '' })
      await nothingIsLeft(family)
    },
    TIMEOUT_MS,
  )

  test(
    'by force leaves nobody behind',
    async () => {
      const { child, ended, family } = await play(DOORS, ['mosquitto.conf', 'mortise bridge run', 'mortise hsm serve'])
      child.kill('SIGKILL')
      await ended
      await until(() => family.every((pid) => titleOf(pid) === ''))
    },
    TIMEOUT_MS,
  )
})

async function until(holds: () => boolean): Promise<void> {
  const deadline = Date.now() + 30_000
  while (!holds()) {
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
  return readProc(`/proc/${pid}/cmdline`).replaceAll('\0', ' ').trim()
}

function readProc(path: string): string {
  try {
    return readFileSync(path, 'latin1')
  } catch {
    return ''
  }
}
