import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { rootCertificates } from 'node:tls'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { Installation, type ServerProcess } from './support/installation.ts'
import { descendantsOf, environmentOf } from './support/processes.ts'

/**
 * Node takes orders from the environment: to open its inspector, to write TLS session keys, memory, reports and coverage
 * to files, to tell what it does, to trust every certificate. Mortise takes none of them; a plain Node takes all.
 */
const root = mkdtempSync(join(tmpdir(), 'mortise-environment-'))
const keyLog = join(root, 'keys.log')
const coverage = join(root, 'coverage')
const reports = join(root, 'reports')
const HOSTILE = {
  NODE_OPTIONS: [
    `--tls-keylog=${keyLog}`,
    '--inspect=127.0.0.1:0',
    '--heapsnapshot-signal=SIGUSR2',
    '--report-on-signal',
    '--report-signal=SIGWINCH',
    '--report-uncaught-exception',
    `--report-directory=${reports}`,
    `--diagnostic-dir=${reports}`,
  ].join(' '),
  NODE_V8_COVERAGE: coverage,
  NODE_DEBUG: 'tls,net,child_process',
  NODE_TLS_REJECT_UNAUTHORIZED: '0',
  SSLKEYLOGFILE: keyLog,
}
const SIGNALS = ['SIGUSR2', 'SIGWINCH', 'SIGUSR1'] as const

let installation: Installation
let server: ServerProcess
beforeAll(async () => {
  mkdirSync(reports)
  installation = await Installation.create('soft', { environment: HOSTILE })
  server = await installation.serve('--workers', '1')
})
afterAll(async () => {
  await installation[Symbol.asyncDispose]()
  rmSync(root, { recursive: true })
})

/** What was written, but for the coverage of a Node that came no further than `bin/mortise`, and holds nothing there. */
function written(): string[] {
  return readdirSync(root, { recursive: true, encoding: 'utf8' }).filter((name) => {
    if (name === 'reports' || name === 'coverage') return false
    return !name.startsWith('coverage') || !readFileSync(join(root, name), 'utf8').includes('/bin/mortise')
  })
}

describe('variables of Node in the environment', () => {
  test('reach no process of Mortise', () => {
    const processes = [server.pid, ...descendantsOf(server.pid).map(({ pid }) => pid)]
    expect(processes).toHaveLength(3)
    for (const pid of processes) {
      const environment = environmentOf(pid)?.toString() ?? 'TMPDIR='
      expect(environment).toContain('TMPDIR=')
      for (const name of Object.keys(HOSTILE)) expect(environment).not.toContain(`${name}=`)
    }
  })

  test('open no inspector, and the HSM process listens on no network', () => {
    expect(tcpListeners(server.pid)).toBe(2)
    // The descriptors of the HSM process are shown to root alone.
    if (process.getuid?.() === 0) expect(descendantsOf(server.pid).map(({ pid }) => tcpListeners(pid))).toEqual([0, 0])
    // The first Node of a command opens it before it reads our code, holds nothing yet, and is replaced.
    expect(server.output.match(/Debugger listening/g)).toHaveLength(1)
  })

  test('make commands and servers write nothing: TLS keys, heap snapshots, reports, coverage, debug lines', async () => {
    await installation.mortise('status')
    expect(written()).toEqual([])
    for (const name of readdirSync(coverage))
      expect(readFileSync(join(coverage, name), 'utf8')).not.toMatch(/packages\/\w+\/src/)
    const [, worker] = descendantsOf(server.pid)
    for (const signal of SIGNALS) process.kill(worker?.pid ?? 0, signal)
    await server.says('another one takes its place')
    expect(written()).toEqual([])
    expect(server.output).not.toMatch(/^(TLS|NET|CHILD_PROCESS) \d+:/m)
  })

  test('make a plain Node write all of that', async () => {
    const script = `
      require('node:https').get(${JSON.stringify(`${server.apiUrl}/livez`)}, (response) => {
        response.resume().on('end', () => console.log('done'))
      })
      setInterval(() => undefined, 1000)
      process.once('SIGTERM', () => process.exit())`
    const environment = { ...process.env, ...HOSTILE }
    const plain = spawn(process.execPath, ['-e', script], { env: environment, stdio: ['ignore', 'pipe', 'pipe'] })
    let said = ''
    plain.stderr.on('data', (chunk: Buffer) => (said += chunk.toString()))
    await once(plain.stdout, 'data')
    plain.kill('SIGUSR2')
    plain.kill('SIGWINCH')
    const kinds = () =>
      [/^keys\.log$/m, /\.heapsnapshot$/m, /report.*\.json$/m].map((kind) => kind.test(written().join('\n')))
    await expect.poll(kinds, { timeout: 10_000 }).toEqual([true, true, true])
    const ended = once(plain, 'close')
    plain.kill('SIGTERM')
    await ended
    expect(written().join('\n')).toMatch(/coverage-.*\.json$/m)
    expect(said).toMatch(/^TLS \d+:/m)
    expect(said).toContain('Debugger listening')
    expect(readFileSync(keyLog, 'utf8')).toMatch(/_TRAFFIC_SECRET_/)
  })

  test('do not make a command trust a server that it does not know', async () => {
    const files = ['api-key', 'operator-key.pem'].map((name) => join(installation.data, 'operator', name))
    const words = [
      'status',
      '--url',
      server.apiUrl,
      '--api-key-file',
      files[0] ?? '',
      '--operator-key-file',
      files[1] ?? '',
    ]
    const strange = join(root, 'strange.pem')
    writeFileSync(strange, rootCertificates[0] ?? '')
    await installation.mortise(...words, '--ca-file', join(installation.data, 'ca.pem'))
    expect((await installation.try(...words, '--ca-file', strange)).code).not.toBe(0)
    expect(await getWith(strange, HOSTILE)).toBe(0)
    expect(await getWith(strange, {})).not.toBe(0)
  })
})

/** The exit code of a plain Node that asks the server and takes another's CA for its own. */
function getWith(ca: string, environment: Readonly<Record<string, string>>): Promise<number> {
  const script = `require('node:https').get('${server.apiUrl}/livez', { ca: require('node:fs').readFileSync('${ca}') })`
  const { NODE_TLS_REJECT_UNAUTHORIZED: trust } = environment as Partial<typeof HOSTILE>
  const env = { ...process.env, ...(trust !== undefined && { NODE_TLS_REJECT_UNAUTHORIZED: trust }) }
  return new Promise((resolve) => {
    execFile(process.execPath, ['-e', script], { env }, (error) => {
      resolve(error === null ? 0 : 1)
    })
  })
}

/** How many sockets of this process listen on TCP. */
function tcpListeners(pid: number): number {
  const listening = ['tcp', 'tcp6'].flatMap((table) =>
    readFileSync(`/proc/${pid}/net/${table}`, 'utf8')
      .split('\n')
      .map((line) => line.trim().split(/\s+/))
      // Column 4 is the state, 0A for LISTEN; column 10 the inode.
      .flatMap((columns) => (columns[3] === '0A' ? [`socket:[${columns[9] ?? ''}]`] : [])),
  )
  const open = readdirSync(`/proc/${pid}/fd`).flatMap((name) => {
    try {
      return [readlinkSync(`/proc/${pid}/fd/${name}`)]
    } catch {
      // It was closed meanwhile.
      return []
    }
  })
  return open.filter((target) => listening.includes(target)).length
}
