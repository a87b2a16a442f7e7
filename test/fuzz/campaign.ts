import { OracleFailure } from './failure.ts'

/** One of the things that are fuzzed, set up for one seed. */
export interface Fuzzer {
  readonly target: string
  readonly seed: number
  /** How many cases run at the same time. */
  readonly inFlight: number
  /** Runs a case by itself. The promise rejects with {@link CaseFailure}. */
  runCase(index: number): Promise<void>
}

/** A case that the oracle objects to, with everything that was sent. */
export class CaseFailure extends Error {
  override readonly name = 'CaseFailure'
  readonly target: string
  readonly seed: number
  readonly index: number
  readonly code: string
  readonly input: readonly Buffer[]

  constructor(fuzzer: Pick<Fuzzer, 'target' | 'seed'>, index: number, input: readonly Buffer[], cause: unknown) {
    super(
      cause instanceof Error ? (cause instanceof OracleFailure ? cause.message : String(cause.stack)) : String(cause),
    )
    this.target = fuzzer.target
    this.seed = fuzzer.seed
    this.index = index
    this.code = cause instanceof OracleFailure ? cause.code : 'unexpected'
    this.input = input
    this.cause = cause
  }
}

export interface Campaign {
  /** Cases first to first + count - 1. */
  readonly first: number
  readonly count: number
  /** A case that takes longer hangs; 30 s unless told otherwise. */
  readonly timeoutMs?: number
  /** Called when so many cases are done. */
  readonly onProgress?: (done: number) => void
}

const MAX_FAILURES = 5
const CASE_TIMEOUT_MS = 30_000

/** Runs cases, many at a time, and gives those that failed; stops after a few. */
export async function runCampaign(
  fuzzer: Fuzzer,
  { first, count, timeoutMs = CASE_TIMEOUT_MS, onProgress }: Campaign,
): Promise<CaseFailure[]> {
  const failures: CaseFailure[] = []
  const running = new Map<number, number>()
  let next = first
  const work = async (): Promise<void> => {
    while (next < first + count && failures.length < MAX_FAILURES) {
      const index = next++
      running.set(index, performance.now())
      const failure = await outcomeOf(fuzzer, index)
      running.delete(index)
      if (failure !== undefined) failures.push(failure)
      onProgress?.(next - first - running.size)
    }
  }
  const hung = watchForHang(fuzzer, running, timeoutMs)
  const workers = Array.from({ length: Math.min(fuzzer.inFlight, count) }, work)
  const failure = await Promise.race([Promise.all(workers).then(() => undefined), hung.failure])
  hung.stop()
  return failure === undefined ? failures : [...failures, failure]
}

/** For people: how to run the case again, and what it sent. */
export function describeFailure({ target, seed, index, message, input }: CaseFailure): string {
  const sent = input.map((bytes) => `  input ${bytes.toString('hex')}`)
  return [`npm run fuzz -- --target ${target} --seed ${seed} --case ${index}`, `  ${message}`, ...sent].join('\n')
}

async function outcomeOf(fuzzer: Fuzzer, index: number): Promise<CaseFailure | undefined> {
  try {
    await fuzzer.runCase(index)
    return undefined
  } catch (error) {
    if (error instanceof CaseFailure) return error
    throw error
  }
}

/** Gives the first case that runs for too long. */
function watchForHang(
  fuzzer: Fuzzer,
  running: ReadonlyMap<number, number>,
  timeoutMs: number,
): { failure: Promise<CaseFailure>; stop: () => void } {
  const { promise, resolve } = Promise.withResolvers<CaseFailure>()
  const timer = setInterval(() => {
    for (const [index, startedAt] of running)
      if (performance.now() - startedAt > timeoutMs)
        resolve(new CaseFailure(fuzzer, index, [], new OracleFailure('hung', `no end after ${timeoutMs} ms`)))
  }, timeoutMs / 10)
  return {
    failure: promise,
    stop: () => {
      clearInterval(timer)
    },
  }
}
