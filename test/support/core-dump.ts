import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { ServerProcess } from './installation.ts'

/** A program under which a process may leave a core dump of any size. */
export const WITH_CORE_DUMPS = ['prlimit', '--core=unlimited']

/** Whether the kernel writes core dumps into the working directory of who crashes, and not elsewhere or to a program (core(5)). */
export function coresAreFilesHere(): boolean {
  return !/^\||\//.test(readFileSync('/proc/sys/kernel/core_pattern', 'utf8'))
}

/** Makes a process crash that was started {@link WITH_CORE_DUMPS} in `directory`; the path of its core dump. */
export async function dumpCore(server: ServerProcess, directory: string): Promise<string> {
  const before = new Set(readdirSync(directory))
  await server.kill('SIGABRT')
  const core = readdirSync(directory).find((name) => !before.has(name))
  if (core === undefined) throw new Error('no core dump was written')
  return join(directory, core)
}
