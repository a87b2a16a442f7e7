import { BiFuzzer, MAX_CASES } from './bi/fuzzer.ts'
import { BiWorld } from './bi/world.ts'
import type { Fuzzer } from './campaign.ts'
import { demand } from './failure.ts'
import { CliWorld } from './files/cli-world.ts'
import { FilesFuzzer } from './files/fuzzer.ts'
import type { Watched } from './health.ts'
import { HsmFuzzer } from './hsm/fuzzer.ts'
import { HsmWorld } from './hsm/world.ts'
import { SecretScanner } from './secret-scanner.ts'
import type { Tally } from './tally.ts'

/** What can be fuzzed. */
export const TARGETS = ['bi', 'hsm', 'hsm-pkcs11', 'files'] as const
export type TargetName = (typeof TARGETS)[number]

/** How many cases a whole campaign has. */
export const DEFAULT_COUNTS: Readonly<Record<TargetName, number>> = {
  bi: 1_000_000,
  hsm: 200_000,
  'hsm-pkcs11': 20_000,
  files: 200_000,
}
/** How many there can be under one seed. A worker on SoftHSM2 is replaced before it has leaked too much. */
export const MAX_COUNTS: Readonly<Record<TargetName, number>> = {
  bi: MAX_CASES,
  hsm: 2 ** 32 - 1,
  'hsm-pkcs11': 50_000,
  files: 2 ** 32 - 1,
}

export interface CountingFuzzer extends Fuzzer {
  readonly tally: Tally
}

/** A target that is set up, for some seeds. */
export interface RunningTarget extends AsyncDisposable {
  fuzzer(seed: number): CountingFuzzer
  /** The processes that have to outlive everything. */
  watched(): Watched
  /** What has to hold when all cases are done. @throws OracleFailure */
  finish(): Promise<void>
  /** Ends this side of all connections. */
  close(): Promise<void>
}

export function startTarget(name: TargetName, seeds: readonly number[]): Promise<RunningTarget> {
  switch (name) {
    case 'bi':
      return startBi(seeds)
    case 'hsm':
    case 'hsm-pkcs11':
      return startHsm(name, seeds)
    case 'files':
      return startFiles(seeds)
  }
}

/** Lines of refusals show what peers sent; every other line is the server's own. */
const OWN_LINE = /^(?!mortise: refused \{).*$/gm
const TROUBLE = /unhandled|Error\b|^ {4}at |could not|unexpected|ended|starting it again/i

async function startBi(seeds: readonly number[]): Promise<RunningTarget> {
  const world = await BiWorld.create(seeds)
  const fuzzers = new Map(seeds.map((seed) => [seed, new BiFuzzer(world, seed)]))
  const [first] = fuzzers.values()
  return {
    fuzzer: (seed) => known(fuzzers.get(seed)),
    watched: () => known(first).watched(),
    finish: async () => {
      for (const fuzzer of fuzzers.values()) await fuzzer.checkStillServes()
      checkOutput(world.server.output, new SecretScanner(world.secrets()))
    },
    close: async () => {
      for (const fuzzer of fuzzers.values()) await fuzzer.close()
      world.inbox.closeConnections()
    },
    [Symbol.asyncDispose]: () => world[Symbol.asyncDispose](),
  }
}

async function startHsm(name: HsmFuzzer['target'], seeds: readonly number[]): Promise<RunningTarget> {
  const world = await HsmWorld.create(name === 'hsm' ? 'soft' : 'pkcs11')
  const fuzzers = new Map(seeds.map((seed) => [seed, new HsmFuzzer(world, name, seed)]))
  const [first] = fuzzers.values()
  return {
    fuzzer: (seed) => known(fuzzers.get(seed)),
    watched: () => known(first).watched(),
    finish: async () => {
      await known(first).checkSealed()
      for (const fuzzer of fuzzers.values()) await fuzzer.checkStillServes()
      checkOutput(world.processes.stderr + world.sealed.stderr, new SecretScanner(world.secrets()))
    },
    close: async () => {
      for (const fuzzer of fuzzers.values()) await fuzzer.close()
    },
    [Symbol.asyncDispose]: () => world[Symbol.asyncDispose](),
  }
}

/** Everything is read in a thread of this process, which has a limit of its own. */
async function startFiles(seeds: readonly number[]): Promise<RunningTarget> {
  const world = await CliWorld.create()
  const fuzzers = new Map(seeds.map((seed) => [seed, new FilesFuzzer(world, seed)]))
  return {
    fuzzer: (seed) => known(fuzzers.get(seed)),
    watched: () => new Map(),
    finish: () => Promise.resolve(),
    close: async () => {
      for (const fuzzer of fuzzers.values()) await fuzzer.close()
    },
    [Symbol.asyncDispose]: () => world[Symbol.asyncDispose](),
  }
}

/** What the processes said: no failure that nobody had foreseen, and no secret. @throws OracleFailure */
export function checkOutput(output: string, scanner: SecretScanner): void {
  const secrets = scanner.find(Buffer.from(output))
  demand(secrets.length === 0, 'secret_in_output', secrets.join(', '))
  const [trouble] = (output.match(OWN_LINE) ?? []).filter((line) => TROUBLE.test(line))
  demand(trouble === undefined, 'inside_failed', trouble ?? '')
}

function known<Value>(value: Value | undefined): Value {
  if (value === undefined) throw new RangeError('a seed that was not set up')
  return value
}
