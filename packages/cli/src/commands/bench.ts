import { type Command, InvalidArgumentError, Option } from 'commander'
import { benchJoins } from '../bench/join-bench.ts'
import { BENCH_VERSIONS, IDLE_CONNECTIONS, type JoinBenchOptions, LOADS, ROWS } from '../bench/join-options.ts'
import { notes, sceneText } from '../bench/join-report.ts'
import { describeMachine } from '../bench/machine.ts'
import { benchStartUp, startUpText } from '../bench/start-up.ts'
import { benchSteady, steadyText } from '../bench/steady.ts'
import { benchStorm } from '../bench/storm-bench.ts'
import type { StormBenchOptions } from '../bench/storm-options.ts'
import { isComplete, stormText } from '../bench/storm-report.ts'
import { CliError } from '../errors.ts'
import { asPath, examples, integer } from '../options.ts'
import { note, report } from '../output.ts'

const MAX_DEVICES = 10_000_000
const MAX_SECONDS = 3600
const MAX_CONNECTIONS = 10_000
const MAX_PEERS = 16

export function registerBench(program: Command): void {
  const bench = program.command('bench').description('measure this machine, in a throw-away directory')
  registerJoin(bench)
  registerStorm(bench)
  examples(bench, 'mortise bench join --rows a,b --devices 10000 --load full --pin', 'mortise bench storm')
}

function registerJoin(bench: Command): void {
  const command = bench
    .command('join')
    .description('joins a second, latency, CPU and memory, side by side with a bare HTTPS server')
    .option('--rows <list>', 'which rows', listOf(ROWS), [...ROWS])
    .option('--mac-version <list>', 'LoRaWAN versions', listOf(BENCH_VERSIONS), [...BENCH_VERSIONS])
    .option(
      '--devices <list>',
      'sizes of fleets (default: 10000,1000000, SoftHSM2 with the first alone)',
      listOfNumbers,
    )
    .option('--load <list>', 'full, or half of that', listOf(LOADS), [...LOADS])
    .option('--seconds <n>', 'of each measurement', seconds, 5)
    .option('--rounds <n>', 'of all rows, in turn; the median is shown', integer(1, 99), 3)
    .option('--connections <n>', 'requests under way', integer(1, MAX_CONNECTIONS), 64)
    .option('--idle-connections <n>', 'row e: left open and idle', integer(0, MAX_CONNECTIONS), IDLE_CONNECTIONS)
    .option('--pin', 'server and HSM on one core, the generator on another (needs taskset and two cores)', false)
    .option(
      '--steady <seconds>',
      'instead: one long run of row b at full load, with the memory of every process',
      seconds,
    )
    .option('--start-up', 'instead: how long `mortise serve` takes until it is ready', false)
    .option('--keep <dir>', 'keep fleets here, and use those that are here', asPath)
    .option('--cpu-profile <dir>', 'server and HSM processes leave their CPU profiles here', asPath)
    .option('--json', 'print JSON for programs', false)
    .action(join)
  command.addHelpText('after', `\n${ABOUT_ROWS}`)
  examples(
    command,
    'mortise bench join',
    'mortise bench join --rows a,b --devices 10000 --load full --pin',
    'mortise bench join --rows c,d --mac-version 1.1 --devices 10000 --pin --json',
    'mortise bench join --steady 300 --devices 10000 --mac-version 1.0.4',
    'mortise bench join --start-up --devices 1000000 --mac-version 1.0.4 --keep ./fleets',
  )
}

const ABOUT_ROWS = `Rows:
  a   a bare HTTPS server with the same certificates, which answers a constant JoinAns of the same size: the floor
  b   durable joins with the soft HSM
  c   durable joins with SoftHSM2; with --pin also c1, where the worker has a core of its own
  d   SoftHSM2 alone: the code of a worker in as many processes as there are workers, without server and database
  e   one new TCP and TLS connection per join, left open and idle, as The Things Stack connects; against e0, the bare
      server used in the same way; with the smallest fleet alone

Every join is checked as the device, its network and its owner would; a wrong answer ends the benchmark with exit code 1.
To save time rows c and d are measured with 10,000 devices, unless --devices says otherwise.
Half load is paced at half of the rate measured just before. Progress goes to standard error.`

async function join(options: JoinBenchOptions): Promise<void> {
  const machine = describeMachine()
  const facts = { command: commandLine(), machine, options }
  if (options.startUp) {
    const startUp = await benchStartUp(options, note)
    report(options, { ...facts, startUp }, () => startUp.map(startUpText).join('\n'))
  } else if (options.steady !== undefined) {
    const steady = await benchSteady(options, options.steady, note)
    report(options, { ...facts, steady }, () => steadyText(steady))
  } else {
    const scenes = await benchJoins(options, note)
    const explained = notes(options, machine, scenes)
    report(options, { ...facts, scenes, notes: explained }, () =>
      [...scenes.map(sceneText), explained.join('\n')].join('\n\n'),
    )
  }
}

function registerStorm(bench: Command): void {
  const command = bench
    .command('storm')
    .description('a blacked-out region comes back: all devices join at once, and again until they have joined')
    .option('--devices <n>', 'devices', integer(1, MAX_DEVICES), 100_000)
    .addOption(new Option('--mac-version <version>', 'LoRaWAN version').choices([...BENCH_VERSIONS]).default('1.0.4'))
    .option('--peers <n>', 'network servers, each half as large as the one before', integer(1, MAX_PEERS), 4)
    .option('--spread <seconds>', 'in which every device transmits for the first time', seconds, 10)
    .option('--time-scale <n>', 'silences of devices are so many times shorter', integer(1, 1000), 10)
    .option('--connections <n>', 'of each network server', integer(1, MAX_CONNECTIONS), 2000)
    .option(
      '--new-connections',
      'every second network server opens one for each request, as The Things Stack does',
      false,
    )
    .option('--timeout <seconds>', 'who has not joined by then counts as lost', seconds, 900)
    .option('--pin', 'server and HSM on one core, the generator on another (needs taskset and two cores)', false)
    .option('--keep <dir>', 'keep fleets here, and use those that are here', asPath)
    .option('--cpu-profile <dir>', 'server and HSM processes leave their CPU profiles here', asPath)
    .option('--json', 'print JSON for programs', false)
    .action(storm)
  command.addHelpText('after', `\n${ABOUT_STORM}`)
  examples(
    command,
    'mortise bench storm',
    'mortise bench storm --devices 20000 --spread 2 --peers 6',
    'mortise bench storm --new-connections --time-scale 1 --timeout 3600 --json',
  )
}

const ABOUT_STORM = `Every join is checked as the device, its network and its owner would. Afterwards the server is flooded with more
requests than it admits, to see what a refusal costs. Exit code 1 if a device never joined, or an answer was wrong.`

function commandLine(): string {
  return ['mortise', ...process.argv.slice(2)].join(' ')
}

async function storm(options: StormBenchOptions): Promise<void> {
  const machine = describeMachine()
  const result = await benchStorm(options, note)
  report(options, { command: commandLine(), machine, options, ...result }, () => stormText(result, options, machine))
  const { joined, devices, firstWrong } = result.storm
  if (isComplete(result.storm)) return
  const message =
    firstWrong === undefined ? `${devices - joined} devices never joined` : `an answer was wrong: ${firstWrong}`
  throw new CliError('bench_storm_lost', message)
}

/** `a,b` of a closed list. */
function listOf<T extends string>(known: readonly T[]): (text: string) => T[] {
  return (text) =>
    text.split(',').map((word) => {
      const found = known.find((item) => item === word.trim())
      if (found === undefined) throw new InvalidArgumentError(`Expected some of ${known.join(',')}.`)
      return found
    })
}

function listOfNumbers(text: string): number[] {
  return text.split(',').map(integer(1, MAX_DEVICES))
}

function seconds(text: string): number {
  const value = Number(text)
  if (!(value >= 0.1 && value <= MAX_SECONDS)) throw new InvalidArgumentError(`Expected 0.1 to ${MAX_SECONDS} seconds.`)
  return value
}
