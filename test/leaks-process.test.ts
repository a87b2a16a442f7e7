import { execFile, execFileSync, spawn } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { Installation, ServerProcess } from './support/installation.ts'
import { descendantsOf, trustBoundaryOf } from './support/processes.ts'

/** What the kernel lets others do with the memory of the HSM process: its own user nothing, and swap where it can say so. */
const NOBODY = 65_534
const PACKAGES = fileURLToPath(new URL('../packages', import.meta.url))
const IS_ROOT = process.getuid?.() === 0

/** Runs the rest of the command line as another user, who still reads the checkout wherever it lies. */
const AS_NOBODY = IS_ROOT
  ? [
      'setpriv',
      `--reuid=${NOBODY}`,
      `--regid=${NOBODY}`,
      '--clear-groups',
      '--inh-caps=+dac_read_search',
      '--ambient-caps=+dac_read_search',
    ]
  : []

/** What a program of that user says, and whether it succeeded. */
function asNobody(...program: readonly string[]): Promise<{ ok: boolean; said: string }> {
  const [file = '', ...args] = [...AS_NOBODY, ...program]
  return new Promise((resolve) => {
    execFile(file, args, { encoding: 'latin1', timeout: 10_000 }, (error, stdout, stderr) => {
      resolve({ ok: error === null, said: stdout + stderr })
    })
  })
}

let installation: Installation
let server: ServerProcess
beforeAll(async () => {
  installation = await Installation.create('soft')
  if (IS_ROOT) execFileSync('chown', ['-R', String(NOBODY), installation.root])
  const listen = ['--bi-listen', '127.0.0.1:0', '--api-listen', '127.0.0.1:0']
  server = installation.startUnder(AS_NOBODY, 'serve', ...installation.secretOption(), '--workers', '1', ...listen)
  await server.says('HSM: ready')
})
afterAll(() => installation[Symbol.asyncDispose]())

describe('a process of the same user, who is not root,', () => {
  function closed(): number[] {
    const { supervisor, workers } = trustBoundaryOf(server.pid)
    const pids = [supervisor.pid, ...workers.map(({ pid }) => pid)]
    expect(pids).toHaveLength(2)
    return pids
  }

  test.each(['environ', 'maps', 'mem'])(
    'cannot open /proc/PID/%s of supervisor or worker; of the server it can',
    async (name) => {
      const open = (pid: number) => asNobody('sh', '-c', `exec 3< /proc/${pid}/${name}`)
      for (const pid of closed()) {
        const { ok, said } = await open(pid)
        expect(said).toContain('ermission denied')
        expect(ok).toBe(false)
      }
      // A kernel may keep debuggers from all processes (Yama), and those alone may open `mem`.
      if (name !== 'mem' || mayTrace()) expect(await open(server.pid)).toEqual({ ok: true, said: '' })
    },
  )

  test('cannot trace supervisor or worker; the server it can', async () => {
    const trace = (pid: number) => asNobody('timeout', '-s', 'INT', '1', 'strace', '-o', '/dev/null', '-p', String(pid))
    const [said, ...rest] = await Promise.all([...closed(), server.pid].map(async (pid) => (await trace(pid)).said))
    expect(said).toContain('Operation not permitted')
    expect(rest[0]).toContain('Operation not permitted')
    if (mayTrace()) expect(rest[1]).toMatch(/Process \d+ attached/)
  })
})

test('whether memory may be written to swap is said at the start', () => {
  const hasSwap = readFileSync('/proc/swaps', 'utf8').trimEnd().split('\n').length > 1
  const limit = '/sys/fs/cgroup/memory.swap.max'
  const forbidden = existsSync(limit) && readFileSync(limit, 'utf8').trim() === '0'
  expect(/memory is not protected against .*swap/.test(server.output)).toBe(hasSwap && !forbidden)
})

test('without koffi it says once what stays open, its core dumps have no memory in them, and it serves', async () => {
  await server.kill('SIGTERM')
  const main = copyWithoutKoffi(join(installation.root, 'without-koffi'))
  const run = join(installation.data, 'run')
  const files = ['--directory', join(installation.data, 'hsm'), '--secret-file', installation.secretFile]
  const sockets = ['--server-socket', join(run, 'server.sock'), '--custodian-socket', join(run, 'custodian.sock')]
  const hsm = new ServerProcess(
    spawn(process.execPath, [main, ...files, ...sockets, '--workers', '1'], { stdio: ['ignore', 'pipe', 'pipe'] }),
  )
  try {
    await hsm.says('unsealed')
    expect(
      hsm.output.match(/memory is not protected against debuggers of the same user \(install .*koffi\)/g),
    ).toHaveLength(1)
    const pids = [hsm.pid, ...descendantsOf(hsm.pid).map(({ pid }) => pid)]
    expect(pids).toHaveLength(2)
    for (const pid of pids) expect(readFileSync(`/proc/${pid}/coredump_filter`, 'utf8').trim()).toBe('00000000')
    expect(readFileSync(`/proc/${process.pid}/coredump_filter`, 'utf8').trim()).not.toBe('00000000')
    expect(readdirSync(run)).toContain('server.sock')
  } finally {
    await hsm.kill('SIGTERM')
  }
})

/** Copies the trust boundary to where koffi is not to be found; returns the entry file of the supervisor. */
function copyWithoutKoffi(copy: string): string {
  for (const name of ['hsm', 'lorawan'])
    for (const part of ['src', 'package.json'])
      cpSync(join(PACKAGES, name, part), join(copy, 'packages', name, part), { recursive: true })
  mkdirSync(join(copy, 'node_modules', '@mortise'), { recursive: true })
  symlinkSync(join(copy, 'packages', 'lorawan'), join(copy, 'node_modules', '@mortise', 'lorawan'))
  return join(copy, 'packages', 'hsm', 'src', 'supervisor', 'main.ts')
}

/** Whether a process may be debugged by another of its user that is not its parent (Yama's ptrace_scope). */
function mayTrace(): boolean {
  const scope = '/proc/sys/kernel/yama/ptrace_scope'
  return !existsSync(scope) || readFileSync(scope, 'utf8').trim() === '0'
}
