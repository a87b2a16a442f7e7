import { parseArgs } from 'node:util'
import { type Backend, BACKENDS } from '../test/support/installation.ts'
import type { Model } from '../test/crash/model.ts'
import { reportText } from '../test/crash/report.ts'
import { runCrashes } from '../test/crash/run.ts'

/** `npm run test:long`: kills the server and its HSM processes under load, thousands of times, and checks every answer. */
const HELP = `usage: npm run test:long -- [options]

  --kills N          how often something is killed, in all (default: 2000)
  --seed N           the schedule of kills: who, when, under which load (default: one that is printed)
  --backend B        soft, pkcs11 or both (default: both, three quarters of the kills on soft)
  --devices N        devices that join (default: 240)
  --help

Examples:
  npm run test:long
  npm run test:long -- --kills 300 --backend pkcs11
  npm run test:long -- --kills 300 --backend soft --seed 1763741520
`

const DEFAULT_KILLS = 2000
const DEFAULT_DEVICES = 240
const PROGRESS_KILLS = 100
/** A kill of the PKCS#11 back end's processes shows little that one of the soft HSM's does not. */
const SOFT_PART = 0.75

interface Part {
  readonly backend: Backend
  readonly kills: number
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      kills: { type: 'string' },
      seed: { type: 'string' },
      backend: { type: 'string' },
      devices: { type: 'string' },
      help: { type: 'boolean' },
    },
  })
  if (values.help === true) {
    process.stdout.write(HELP)
    return
  }
  const kills = wholeNumber('--kills', values.kills) ?? DEFAULT_KILLS
  const devices = wholeNumber('--devices', values.devices) ?? DEFAULT_DEVICES
  const seed = wholeNumber('--seed', values.seed) ?? Math.floor(Date.now() / 1000)
  let violations = 0
  for (const part of partsOf(values.backend ?? 'both', kills)) violations += await run(part, seed, devices)
  if (violations > 0) process.exitCode = 1
}

async function run({ backend, kills }: Part, seed: number, devices: number): Promise<number> {
  console.log(`${backend}: ${kills} kills, --seed ${seed}`)
  const startedMs = performance.now()
  const progress = (done: number, { counts, violationCount }: Model): void => {
    if (done % PROGRESS_KILLS !== 0) return
    const seconds = ((performance.now() - startedMs) / 1000).toFixed(0)
    console.log(`${seconds} s: ${done} kills, ${counts.joins} joins, ${violationCount} violations`)
  }
  const report = await runCrashes({ backend, kills, seed, devices, progress })
  console.log(`\n${reportText(report)}\n`)
  return report.violationCount
}

function partsOf(backend: string, kills: number): Part[] {
  if (backend === 'both') {
    const soft = Math.ceil(SOFT_PART * kills)
    return [
      { backend: 'soft', kills: soft },
      { backend: 'pkcs11', kills: kills - soft },
    ]
  }
  const known = BACKENDS.find((name) => name === backend)
  if (known === undefined) fail(`--backend is soft, pkcs11 or both, not ${backend}`)
  return [{ backend: known, kills }]
}

function wholeNumber(option: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined
  if (/^\d{1,10}$/.test(text) && Number(text) > 0) return Number(text)
  fail(`${option} must be a whole number above 0, not ${text}`)
}

function fail(message: string): never {
  process.stderr.write(`test:long: error: ${message}\ntest:long: hint: --help shows the options\n`)
  process.exit(2)
}

await main()
