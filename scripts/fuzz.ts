import { parseArgs } from 'node:util'
import { type Report, fuzz } from '../test/fuzz/run.ts'
import { DEFAULT_COUNTS, MAX_COUNTS, type TargetName, TARGETS } from '../test/fuzz/targets.ts'

const HELP = `npm run fuzz -- [--target TARGET] [--seed S] [--count N | --case N]

Throws damaged and odd input at Mortise and holds every answer against a model of what may come back.

  --target bi      the Backend Interfaces listener of a real \`mortise serve\`, over mutual TLS
           hsm     the sockets of the trust boundary: server and custodian
           hsm-pkcs11  the same over SoftHSM2
           files   the files that the CLI and the trust boundary read
           all     one after another (default)
  --seed S         0 to 4294967295; a random one is taken and printed without it
  --count N        cases 0 to N-1 (default: bi 1000000, hsm and files 200000, hsm-pkcs11 20000)
  --case N         that case alone, as the line above a failure says
  --help

Every case follows from the seed and its number alone. Exit code 0: no objection; 1: objections, or nothing could run;
2: the command is wrong.

Examples:
  npm run fuzz -- --target bi --count 50000 --seed 7
  npm run fuzz -- --target hsm
  npm run fuzz -- --target files --seed 7 --case 1234
`

const MAX_SEED = 0xffffffff
const PROGRESS_MS = 5000

interface Choice {
  readonly targets: readonly TargetName[]
  readonly seed: number
  readonly count: number | undefined
  readonly only: number | undefined
}

class UsageError extends Error {
  override readonly name = 'UsageError'
}

function readChoice(words: readonly string[]): Choice | 'help' {
  const { values } = parseArgs({
    args: [...words],
    options: {
      target: { type: 'string', default: 'all' },
      seed: { type: 'string' },
      count: { type: 'string' },
      case: { type: 'string' },
      help: { type: 'boolean', default: false },
    },
  })
  if (values.help) return 'help'
  const targets = values.target === 'all' ? TARGETS : TARGETS.filter((name) => name === values.target)
  if (targets.length === 0) throw new UsageError(`--target must be one of ${TARGETS.join(', ')}, all`)
  if (values.count !== undefined && values.case !== undefined) throw new UsageError('give either --count or --case')
  if (values.case !== undefined && targets.length > 1) throw new UsageError('--case needs one --target')
  // Of all targets, each runs as many as it has.
  const most = Math.max(...targets.map((name) => MAX_COUNTS[name]))
  return {
    targets,
    seed: numberOf('--seed', values.seed, 0, MAX_SEED) ?? Math.floor(Math.random() * MAX_SEED),
    count: numberOf('--count', values.count, 1, most),
    only: numberOf('--case', values.case, 0, most - 1),
  }
}

function numberOf(option: string, text: string | undefined, min: number, max: number): number | undefined {
  if (text === undefined) return undefined
  const number = /^\d{1,10}$/.test(text) ? Number(text) : Number.NaN
  if (!(number >= min && number <= max)) throw new UsageError(`${option} must be a number from ${min} to ${max}`)
  return number
}

async function run(target: TargetName, { seed, count: asked, only }: Choice): Promise<boolean> {
  const count = Math.min(asked ?? DEFAULT_COUNTS[target], MAX_COUNTS[target])
  console.log(`${target}: seed ${seed}, ${only === undefined ? `${count} cases` : `case ${only}`}`)
  const wanted = only === undefined ? { seed, first: 0, count } : { seed, first: only, count: 1 }
  const startedAt = performance.now()
  let told = startedAt
  const report = await fuzz(target, [wanted], (done) => {
    const now = performance.now()
    if (now - told < PROGRESS_MS) return
    told = now
    console.error(`${target}: ${done} of ${wanted.count} cases`)
  })
  tell(report)
  return report.failures.length === 0
}

function tell({ target, cases, seconds, failures, answers, health }: Report): void {
  console.log(`${target}: ${cases} cases in ${seconds.toFixed(1)} s, ${Math.round(cases / seconds)} a second`)
  console.log(answers)
  for (const [when, text] of Object.entries(health)) if (text !== '') console.log(`${when}: ${text}`)
  for (const failure of failures) console.log(failure)
  console.log(`${target}: ${failures.length === 0 ? 'no objection' : `${failures.length} objections`}`)
}

async function main(): Promise<number> {
  try {
    const choice = readChoice(process.argv.slice(2))
    if (choice === 'help') {
      process.stdout.write(HELP)
      return 0
    }
    let fine = true
    for (const target of choice.targets) fine = (await run(target, choice)) && fine
    return fine ? 0 : 1
  } catch (error) {
    if (!(error instanceof UsageError) && !isParseError(error)) throw error
    console.error(`npm run fuzz: error: ${error.message}; see npm run fuzz -- --help`)
    return 2
  }
}

function isParseError(error: unknown): error is Error {
  return error instanceof TypeError && 'code' in error && String(error.code).startsWith('ERR_PARSE_ARGS')
}

process.exitCode = await main()
