import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { type Installation, ServerProcess } from '../support/installation.ts'

const MORTISE = fileURLToPath(new URL('../../packages/cli/bin/mortise', import.meta.url))

/** `mortise serve`, ready, in a process that may open so many files and not more. */
export async function serveWithDescriptors(
  installation: Installation,
  descriptors: number,
): Promise<ServerProcess & AsyncDisposable> {
  const listen = ['--bi-listen', '127.0.0.1:0', '--api-listen', '127.0.0.1:0']
  const serve = [MORTISE, 'serve', '--data', installation.data, ...installation.secretOption(), ...listen]
  // Node raises its soft limit to the hard one, so that only a shell before it can lower both.
  const shell = ['-c', `ulimit -n ${descriptors} && exec "$@"`, 'sh', process.execPath, ...serve]
  const server = new ServerProcess(spawn('sh', shell, { stdio: ['ignore', 'pipe', 'pipe'] }))
  await server.ready(installation)
  return Object.assign(server, { [Symbol.asyncDispose]: () => server.kill() })
}
