/**
 * The supervisor with workers that leave CPU profiles, as a process: `node --cpu-prof --cpu-prof-dir=DIR
 * profiled-main.ts` and the options of the supervisor. Processes of the trust boundary take no options of Node from their
 * environment, so that nobody has them write out memory; who starts them may give some.
 */
import type { spawn as Spawn } from 'node:child_process'
import { createRequire, syncBuiltinESMExports } from 'node:module'

const childProcess = createRequire(import.meta.url)('node:child_process') as { spawn: typeof Spawn }
const { spawn } = childProcess
const profiling = process.execArgv.filter((option) => option.startsWith('--cpu-prof'))
Object.assign(childProcess, {
  spawn: (program: string, args: readonly string[], options: Parameters<typeof spawn>[2]) =>
    spawn(program, [...profiling, ...args], options),
})
syncBuiltinESMExports()

await import('../supervisor/main.ts')
