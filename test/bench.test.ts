import { spawn } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { availableParallelism, tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'

/** The benchmark as it is started, at its smallest. Nothing here is about how fast anything is. */

const MORTISE = fileURLToPath(new URL('../packages/cli/bin/mortise', import.meta.url))
const SMALL = [
  '--devices',
  '200',
  '--seconds',
  '0.5',
  '--rounds',
  '1',
  '--connections',
  '8',
  '--idle-connections',
  '12',
]
const TIMEOUT_MS = 300_000
const A_NUMBER = expect.any(Number) as number
const A_TEXT = expect.any(String) as string

let keep: string
beforeAll(() => {
  keep = mkdtempSync(join(tmpdir(), 'mortise-test-bench-'))
})
afterAll(() => {
  rmSync(keep, { recursive: true, force: true })
})

interface Transcript {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

async function bench(words: readonly string[], environment: NodeJS.ProcessEnv = process.env): Promise<Transcript> {
  const child = spawn(process.execPath, [MORTISE, 'bench', ...words], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: environment,
  })
  const output = { stdout: '', stderr: '' }
  child.stdout.on('data', (chunk: Buffer) => (output.stdout += chunk.toString()))
  child.stderr.on('data', (chunk: Buffer) => (output.stderr += chunk.toString()))
  const code = await new Promise<number | null>((resolve) => child.once('close', resolve))
  return { code, ...output }
}

async function benchJson<T>(words: readonly string[]): Promise<T> {
  const { code, stdout, stderr } = await bench([...words, '--json'])
  if (code !== 0) throw new Error(stderr)
  return JSON.parse(stdout) as T
}

interface MeasurementJson {
  readonly joinsPerSecond: number
  readonly p50Ms: number
  readonly p99Ms: number
  readonly checked: number
  readonly processes: Record<string, { cores: number; cpuMicrosecondsPerJoin: number; residentBytes: number }>
}

interface SceneJson {
  readonly macVersion: string
  readonly devices: number
  readonly load: string
  readonly databaseBytesPerDevice: Record<string, number>
  readonly rows: { row: string; notMeasured?: string; rounds: MeasurementJson[] }[]
}

interface JoinJson {
  readonly command: string
  readonly machine: Record<string, unknown>
  readonly options: Record<string, unknown>
  readonly notes: string[]
  readonly scenes: SceneJson[]
}

const rowsOf = (scene: SceneJson | undefined) => scene?.rows.map(({ row }) => row)

describe('mortise bench join', { timeout: TIMEOUT_MS }, () => {
  test('measures every row at full and half load, and tells a program everything', async () => {
    const words = ['join', ...SMALL, '--mac-version', '1.0.4', '--keep', keep]
    const { command, machine, options, notes, scenes } = await benchJson<JoinJson>(words)
    expect(command).toContain('mortise bench join --devices 200')
    expect(machine).toMatchObject({ cpu: A_TEXT, cores: A_NUMBER, node: process.versions.node })
    expect(machine).toMatchObject({ kernel: A_TEXT, memoryBytes: A_NUMBER })
    expect(options).toMatchObject({ seconds: 0.5, rounds: 1, connections: 8, pin: false })
    expect(notes.join('\n')).toMatch(/\(c\) does \d\.\d\d of \(d\)/)
    expect(scenes.map(({ load }) => load)).toEqual(['full', 'half'])
    expect(rowsOf(scenes[0])).toEqual(['a', 'b', 'c', 'd', 'e', 'e0'])
    // The token alone cannot be told how fast to go.
    expect(rowsOf(scenes[1])).toEqual(['a', 'b', 'c', 'e', 'e0'])
    for (const { devices, macVersion, databaseBytesPerDevice, rows } of scenes) {
      expect({ devices, macVersion }).toEqual({ devices: 200, macVersion: '1.0.4' })
      expect(databaseBytesPerDevice).toEqual({ soft: A_NUMBER, softhsm2: A_NUMBER })
      for (const { row, rounds } of rows) {
        expect(rounds).toHaveLength(1)
        for (const { joinsPerSecond, p50Ms, p99Ms, checked, processes } of rounds) {
          expect(joinsPerSecond).toBeGreaterThan(0)
          expect(checked).toBeGreaterThan(0)
          expect(p50Ms).toBeGreaterThan(0)
          expect(p99Ms).toBeGreaterThanOrEqual(p50Ms)
          const product = ['server', 'supervisor', 'worker', 'generator']
          const roles = row === 'd' ? ['worker'] : ['a', 'e0'].includes(row) ? ['server', 'generator'] : product
          expect(Object.keys(processes)).toEqual(roles)
          for (const { residentBytes } of Object.values(processes)) expect(residentBytes).toBeGreaterThan(1e6)
        }
      }
    }
  })

  test('tells a person, with LoRaWAN 1.1 and pinned where there are two cores', async () => {
    const pin = availableParallelism() > 1 ? ['--pin'] : []
    const words = ['join', ...SMALL, '--mac-version', '1.1', '--load', 'full', '--rows', 'b,c', ...pin]
    const { code, stdout, stderr } = await bench(words)
    expect({ code, stderr }).toEqual({
      code: 0,
      stderr: expect.stringContaining('round 1 of 1: joins, soft HSM') as string,
    })
    expect(stdout).toMatch(/^LoRaWAN 1\.1, 200 devices, full load; bytes of database for each device: \d+ \(soft\)/)
    expect(stdout).toMatch(/\nb +joins, soft HSM +\d+ .*µs \d+%!? \d+ MiB/)
    expect(stdout).toMatch(/\nc +joins, SoftHSM2 +\d+ /)
    expect(/\nc1 +SoftHSM2, worker on its own core +\d+ /.test(stdout)).toBe(pin.length > 0)
    expect(stdout).toMatch(/\nMachine: .+ cores.+Node /)
  })

  test('names the rows that it cannot measure without SoftHSM2', async () => {
    const words = ['join', ...SMALL, '--mac-version', '1.0.4', '--load', 'full', '--rows', 'c,d', '--keep', keep]
    const { code, stdout } = await bench(words, { ...process.env, PATH: '' })
    expect(code).toBe(0)
    expect(stdout).toMatch(/\nc +joins, SoftHSM2: not measured: softhsm2 is not installed\n/)
    expect(stdout).toMatch(/\nd +SoftHSM2 alone: not measured: softhsm2 is not installed\n/)
  })

  test('refuses to pin without taskset', async () => {
    const words = ['join', ...SMALL, '--rows', 'a', '--pin', '--json']
    const { code, stderr } = await bench(words, { ...process.env, PATH: '' })
    expect(code).toBe(1)
    expect(JSON.parse(stderr.trim().split('\n').at(-1)!)).toMatchObject({ code: 'pin_impossible' })
  })

  const STEADY = ['join', ...SMALL, '--mac-version', '1.0.4', '--keep', '']
  const kept = (...more: string[]) => [...STEADY.slice(0, -1), keep, ...more]

  test('shows the memory of a long run', async () => {
    const { steady } = await benchJson<{
      steady: { checked: number; samples: object[]; growthBytesPerMinute: object }
    }>(kept('--steady', '1'))
    expect(steady.checked).toBeGreaterThan(0)
    expect(steady.samples[0]).toMatchObject({
      residentBytes: { server: A_NUMBER, worker: A_NUMBER },
    })
    expect(Object.keys(steady.growthBytesPerMinute)).toEqual(['server', 'supervisor', 'worker', 'generator'])
  })

  test('measures the start', async () => {
    const { startUp } = await benchJson<{ startUp: { devices: number; milliseconds: number[] }[] }>(kept('--start-up'))
    expect(startUp).toMatchObject([{ devices: 200, milliseconds: [A_NUMBER] }])
  })

  test('leaves profiles where it is told to', async () => {
    const profiles = join(keep, 'profiles')
    await benchJson(kept('--rows', 'b', '--load', 'full', '--cpu-profile', profiles))
    const files = readdirSync(profiles).map((name) => readFileSync(join(profiles, name), 'utf8'))
    // Server, its thread for checkpoints, supervisor, worker. A profile shows what was running when somebody looked.
    expect(files).toHaveLength(4)
    for (const room of ['/server/src/', '/hsm/src/worker/'])
      expect(files.some((text) => text.includes(room))).toBe(true)
  })

  test('fails when an answer is wrong', async () => {
    const files = readdirSync(keep)
    expect(files).toContain('soft-1.0.4-200-1')
    const fleetFile = join(keep, 'soft-1.0.4-200-1', 'fleet.json')
    const right = readFileSync(fleetFile, 'utf8')
    // The last device has another root key than the HSM knows: its frames are refused, those of all others are not.
    const fleet = JSON.parse(right) as { appKeys: string }
    writeFileSync(fleetFile, JSON.stringify({ ...fleet, appKeys: `${fleet.appKeys.slice(0, -32)}${'0'.repeat(32)}` }))
    const words = kept('--rows', 'b', '--load', 'full', '--json')
    const { code, stdout, stderr } = await bench(words)
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' })
    const failure = JSON.parse(stderr.trim().split('\n').at(-1)!) as { code: string; firstFailure: string }
    expect(failure).toMatchObject({ code: 'bench_answer_wrong', firstFailure: 'refused: MICFailed' })
    writeFileSync(fleetFile, right)
    expect((await bench(words)).code).toBe(0)
  })

  test('fails before it measures when its own check fails', async () => {
    const kekFile = join(keep, 'soft-1.0.4-200-1', 'kek')
    const right = readFileSync(kekFile, 'utf8')
    writeFileSync(kekFile, `${'0'.repeat(64)}\n`)
    const { code, stderr } = await bench(kept('--rows', 'b', '--load', 'full', '--json'))
    expect(code).toBe(1)
    expect(JSON.parse(stderr.trim().split('\n').at(-1)!)).toMatchObject({ code: 'bench_self_test_failed' })
    writeFileSync(kekFile, right)
  })

  test.each([
    ['a row that there is not', ['--rows', 'a,z']],
    ['a LoRaWAN version that there is not', ['--mac-version', '2.0']],
    ['no time at all', ['--seconds', '0']],
  ])('refuses %s', async (_what, words) => {
    const { code, stderr } = await bench(['join', ...words])
    expect(code).toBe(2)
    expect(stderr).toMatch(/mortise: error: .+Expected/)
  })
})

interface StormJson {
  readonly machine: object
  readonly storm: {
    readonly devices: number
    readonly joined: number
    readonly peers: { netId: string; kind: string; devices: number; joined: number }[]
    readonly seconds: { joined: number }[]
  }
  readonly peaks: Record<string, number>
  readonly refusals: { joinCpuMicroseconds: number; joinsPerSecond: number }
  readonly processes: Record<string, { cpuSeconds: number; residentBytes: number }>
}

describe('mortise bench storm', { timeout: TIMEOUT_MS }, () => {
  const REGION = ['storm', '--devices', '200', '--peers', '3']

  test('brings a region back, and tells a program everything', async () => {
    const words = [...REGION, '--spread', '0.5', '--new-connections']
    const { machine, storm, peaks, refusals, processes } = await benchJson<StormJson>(words)
    expect(machine).toMatchObject({ cores: A_NUMBER })
    expect(storm).toMatchObject({ devices: 200, joined: 200 })
    expect(storm.peers.map(({ netId, kind, devices }) => [netId, kind, devices])).toEqual([
      ['000013', 'chirpstack', A_NUMBER],
      ['000014', 'the-things-stack', A_NUMBER],
      ['000015', 'chirpstack', A_NUMBER],
    ])
    for (const { devices, joined } of storm.peers) expect(joined).toBe(devices)
    expect(storm.seconds.reduce((sum, { joined }) => sum + joined, 0)).toBe(200)
    expect(peaks).toMatchObject({ mortise_hsm_in_flight: A_NUMBER })
    expect(refusals.joinsPerSecond).toBeGreaterThan(0)
    expect(Object.keys(processes)).toEqual(['server', 'supervisor', 'worker', 'generator'])
  })

  test('fails when a device never joined, and still tells a person what happened', async () => {
    const { code, stdout, stderr } = await bench([...REGION, '--spread', '20', '--timeout', '2'])
    expect(code).toBe(1)
    expect(stdout).toMatch(/^\d+ of 200 devices joined/)
    expect(stdout).toMatch(/\nnetwork +kind +devices +joined/)
    expect(stderr).toMatch(/mortise: error: \d+ devices never joined\n$/)
  })
})
