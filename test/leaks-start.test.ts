import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { WITH_CORE_DUMPS } from './support/core-dump.ts'
import { BACKENDS, Installation, type ServerProcess } from './support/installation.ts'
import { descendantsOf, trustBoundaryOf } from './support/processes.ts'
import { storageKeys } from './support/secret-scene.ts'
import { SecretSearch } from './support/secret-search.ts'

/** What processes are started with, what those of the trust boundary do first, and how they end. Seen by strace. */
const IS_ROOT = process.getuid?.() === 0
/**
 * What the supervisor does once its memory is closed is shown to a tracer that is root alone: to start a worker, to open
 * its secret.
 */
const MAINS = IS_ROOT ? ['ceremony', 'supervisor', 'worker'] : ['ceremony', 'supervisor']
const MAIN = /hsm\/src\/(ceremony|supervisor|worker)\/main\.ts/

function strace(trace: string): string[] {
  // Whole texts and whole environments; calls that are not looked at run at full speed.
  const calls = ['-e', 'trace=execve,prctl,prlimit64,openat', '-e', 'signal=SEGV,ABRT']
  return ['strace', '-f', '--seccomp-bpf', '-v', '-s', '65535', ...calls, '-o', trace]
}

describe.each(BACKENDS)('processes, %s:', (backend) => {
  const needle = randomBytes(16)
  let installation: Installation
  let server: ServerProcess
  let traces: string[]
  const lines = (index: number): string[] => wholeCalls(readFileSync(traces[index] ?? '', 'utf8'))

  beforeAll(async () => {
    installation = Installation.prepare(backend, { environment: { NEEDLE: needle.toString('hex') } })
    traces = ['init', 'serve'].map((name) => join(installation.root, `${name}.trace`))
    const init = installation.startUnder(strace(traces[0] ?? ''), ...installation.initCommand())
    await init.says('Next:')
    const words = ['serve', ...installation.secretOption(), '--workers', '1']
    const listen = ['--bi-listen', '127.0.0.1:0', '--api-listen', '127.0.0.1:0']
    server = installation.startUnder([...WITH_CORE_DUMPS, ...strace(traces[1] ?? '')], ...words, ...listen)
    await server.says('HSM: ready')
  })
  afterAll(async () => {
    // Without the tracer they would go on.
    for (const { pid } of descendantsOf(server.pid)) process.kill(pid, 'SIGKILL')
    await installation[Symbol.asyncDispose]()
  })

  test('no argument and no environment of any has a secret, from init on', () => {
    const secret = readFileSync(installation.secretFile)
    const recoveryKey = Buffer.from(
      readFileSync(join(installation.data, 'operator', 'recovery-key'), 'utf8').trim(),
      'hex',
    )
    const secrets = new SecretSearch(
      new Map([...storageKeys(installation.data), ['recovery key', recoveryKey], ['secret', secret]]),
    )
    const started = [...lines(0), ...lines(1)].filter((line) => line.includes('execve("'))
    const mains = started.flatMap((line) => MAIN.exec(line)?.[1] ?? [])
    expect(mains.sort()).toEqual(MAINS)
    expect(started.length).toBeGreaterThanOrEqual(2 + MAINS.length)
    for (const line of started) {
      expect(secrets.findInText(line)).toEqual([])
      expect(new SecretSearch(new Map([['needle', needle]])).findInText(line)).toEqual(['needle (hex)'])
    }
  })

  test('ceremony, supervisor and worker close their memory before they open a secret', () => {
    const all = [...lines(0), ...lines(1)]
    for (const main of MAINS) {
      const start = all.findIndex((line) => line.includes('execve("') && line.includes(`hsm/src/${main}/main.ts`))
      const pid = all[start]?.split(' ')[0] ?? ''
      const own = all.slice(start).filter((line) => line.startsWith(`${pid} `))
      const at = (pattern: RegExp): number => own.findIndex((line) => pattern.test(line))
      const filter = at(/openat\(.*"\/proc\/self\/coredump_filter", O_WRONLY.* = \d+$/)
      const limit = at(/RLIMIT_CORE, \{rlim_cur=0, rlim_max=0\}.* = 0$/)
      const dumpable = at(/prctl\(PR_SET_DUMPABLE, SUID_DUMP_DISABLE.*\) += 0$/)
      const secret = own.findIndex((line) => line.includes(installation.secretFile) && line.includes('openat('))
      expect([filter, limit, dumpable].every((index) => index > 0)).toBe(true)
      expect(filter).toBeLessThan(dumpable)
      if (main !== 'worker' && IS_ROOT) expect(secret).toBeGreaterThan(Math.max(limit, dumpable))
    }
  })

  test('a crash of worker or supervisor leaves no core dump; the server, which has no key, leaves one', async () => {
    const { pid } = JSON.parse(readFileSync(join(installation.data, 'run', 'server.json'), 'utf8')) as { pid: number }
    const { supervisor, workers } = trustBoundaryOf(pid)
    for (const { pid: part } of [supervisor, ...workers])
      expect(readFileSync(`/proc/${part}/limits`, 'utf8')).toMatch(/^Max core file size +0 +0 /m)
    expect(readFileSync(`/proc/${pid}/limits`, 'utf8')).toMatch(/^Max core file size +unlimited /m)
    process.kill(workers[0]?.pid ?? 0, 'SIGSEGV')
    await server.says('another one takes its place')
    process.kill(supervisor.pid, 'SIGABRT')
    await server.says('the HSM process ended (SIGABRT)')
    process.kill(pid, 'SIGABRT')
    await expect.poll(() => server.ended, { timeout: 20_000 }).toBe(true)
    const ends = lines(1).flatMap((line) => {
      const [, killed, signal, dumped] =
        /^(\d+) +\+\+\+ killed by (SIG(?:SEGV|ABRT))( \(core dumped\))? \+\+\+/.exec(line) ?? []
      return killed === undefined ? [] : [[Number(killed), signal, dumped !== undefined]]
    })
    expect(ends).toEqual(
      expect.arrayContaining([
        [workers[0]?.pid, 'SIGSEGV', false],
        [supervisor.pid, 'SIGABRT', false],
        [pid, 'SIGABRT', true],
      ]),
    )
  })
})

/** The lines of a trace; a call that was written in two parts, because another process made one meanwhile, in one line. */
function wholeCalls(trace: string): string[] {
  const begun = new Map<string, string>()
  return trace.split('\n').flatMap((line) => {
    const pid = line.split(' ')[0] ?? ''
    if (line.endsWith('<unfinished ...>')) {
      begun.set(pid, line.slice(0, -'<unfinished ...>'.length))
      return []
    }
    const rest = /<\.\.\. \w+ resumed>(.*)$/.exec(line)?.[1]
    return [rest === undefined ? line : `${begun.get(pid) ?? ''}${rest}`]
  })
}
