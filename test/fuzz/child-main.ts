import { fuzz, type Run } from './run.ts'
import type { TargetName } from './targets.ts'

/** Fuzzes in a process of its own, as Node runs it: a test runner makes the fuzzer half as fast. Prints the report. */
const { target, runs } = JSON.parse(process.argv[2] ?? '') as { target: TargetName; runs: Run[] }
process.stdout.write(JSON.stringify(await fuzz(target, runs)))
