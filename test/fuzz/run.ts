import { describeFailure, runCampaign } from './campaign.ts'
import { OracleFailure } from './failure.ts'
import { compareHealth, describeHealth, type Health, settledHealth, takeHealth } from './health.ts'
import { type RunningTarget, startTarget, type TargetName } from './targets.ts'

/** Cases of one seed. */
export interface Run {
  readonly seed: number
  readonly first: number
  readonly count: number
}

export interface Report {
  readonly target: TargetName
  readonly cases: number
  /** Without setting up. */
  readonly seconds: number
  /** One text each, with the command that runs the case again. */
  readonly failures: readonly string[]
  /** How often was answered what. */
  readonly answers: string
  readonly health: { readonly before: string; readonly warm: string; readonly after: string }
}

/** Memory is compared with what it is after this share of the cases. */
const WARM_UP_SHARE = 0.2

/** Sets a target up, runs the cases of every run, and looks whether everything is still in order. */
export async function fuzz(
  target: TargetName,
  runs: readonly Run[],
  onProgress: (done: number) => void = () => undefined,
): Promise<Report> {
  await using running = await startTarget(
    target,
    runs.map(({ seed }) => seed),
  )
  const before = takeHealth(running.watched())
  const startedAt = performance.now()
  const { failures, warm, cases } = await runAll(running, runs, before, onProgress)
  const seconds = (performance.now() - startedAt) / 1000
  // The rest would only say once more what has failed already.
  const late = failures.length > 0 ? undefined : await lateFailure(() => running.finish())
  await running.close()
  const after = failures.length > 0 ? before : await settledHealth(() => running.watched(), before)
  const unhealthy = failures.length > 0 ? undefined : await lateFailure(() => compareHealth(before, warm, after))
  return {
    target,
    cases,
    seconds,
    failures: [...failures, ...[late, unhealthy].filter((failure) => failure !== undefined)],
    answers: runs.map(({ seed }) => `seed ${seed}: ${running.fuzzer(seed).tally.toString()}`).join('\n'),
    health: { before: describeHealth(before), warm: describeHealth(warm), after: describeHealth(after) },
  }
}

async function runAll(
  running: RunningTarget,
  runs: readonly Run[],
  before: Health,
  onProgress: (done: number) => void,
): Promise<{ failures: string[]; warm: Health; cases: number }> {
  const warmUp = WARM_UP_SHARE * runs.reduce((sum, { count }) => sum + count, 0)
  let warm = before
  let cases = 0
  for (const run of runs) {
    const finished = cases
    const failed = await runCampaign(running.fuzzer(run.seed), {
      ...run,
      onProgress: (done) => {
        if (warm === before && finished + done >= warmUp) warm = takeHealth(running.watched())
        cases = finished + done
        onProgress(cases)
      },
    })
    if (failed.length > 0) return { failures: failed.map(describeFailure), warm, cases }
  }
  return { failures: [], warm, cases }
}

/** What is wrong with the whole, as text. */
async function lateFailure(check: () => Promise<void> | void): Promise<string | undefined> {
  try {
    await check()
    return undefined
  } catch (error) {
    if (!(error instanceof OracleFailure)) throw error
    return `after all cases: ${error.message}`
  }
}
