import { spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/**
 * `npm test`: installs the system packages that the tests use if they are missing and this user may, then runs all tests.
 * The last line is `N passed, N failed`. Arguments go to vitest: `npm test -- packages/lorawan`.
 */
interface SystemPackage {
  readonly debian: string
  readonly why: string
  readonly present: () => boolean
}

const SOFTHSM_MODULES = ['/usr/lib/softhsm/libsofthsm2.so', '/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so']

const LIBFAKETIME = ['x86_64-linux-gnu', 'aarch64-linux-gnu'].map((part) =>
  join('/usr/lib', part, 'faketime/libfaketimeMT.so.1'),
)
const PKCS11_SPIES = ['x86_64-linux-gnu', 'aarch64-linux-gnu', ''].map((part) =>
  join('/usr/lib', part, 'pkcs11-spy.so'),
)

const PACKAGES: readonly SystemPackage[] = [
  {
    debian: 'softhsm2',
    why: 'the PKCS#11 tests run against a real SoftHSM2',
    present: () => SOFTHSM_MODULES.some((path) => existsSync(path)) && onPath('softhsm2-util'),
  },
  {
    debian: 'openssl',
    why: 'certificates of the tests are made by an independent tool',
    present: () => onPath('openssl'),
  },
  {
    debian: 'procps',
    why: 'the processes of the trust boundary are told from all others by `ps`',
    present: () => onPath('ps'),
  },
  {
    debian: 'libfaketime',
    why: 'processes are shown a clock that is set forward and back',
    present: () => LIBFAKETIME.some((path) => existsSync(path)),
  },
  {
    debian: 'strace',
    why: 'that an answer waits for the disk is seen in the system calls',
    present: () => onPath('strace'),
  },
  {
    debian: 'util-linux',
    why: 'taskset binds the benchmark to cores, prlimit keeps files from growing, setpriv runs a server as another user',
    present: () => ['taskset', 'prlimit', 'setpriv'].every(onPath),
  },
  {
    debian: 'opensc-pkcs11',
    why: 'pkcs11-spy shows what crosses PKCS#11',
    present: () => PKCS11_SPIES.some((path) => existsSync(path)),
  },
  {
    debian: 'postgresql',
    why: 'owners may keep sessions there; the tests start one of their own',
    present: () => existsSync('/usr/lib/postgresql'),
  },
  {
    debian: 'chromium',
    why: 'what runs in a browser is run in one',
    present: () => ['chromium', 'chromium-browser', 'google-chrome'].some(onPath),
  },
  {
    debian: 'bind9-utils',
    why: 'named-checkzone reads the zone records that Mortise writes',
    present: () => onPath('named-checkzone'),
  },
  {
    debian: 'mosquitto',
    why: 'the bridge stands between real MQTT brokers, which are killed and started again',
    // Debian puts it where the PATH of a user does not look.
    present: () => onPath('mosquitto') || existsSync('/usr/sbin/mosquitto'),
  },
]

function onPath(command: string): boolean {
  return (process.env['PATH'] ?? '').split(':').some((directory) => existsSync(join(directory, command)))
}

function installMissing(): void {
  const missing = PACKAGES.filter(({ present }) => !present())
  if (missing.length === 0) return
  const names = missing.map(({ debian }) => debian)
  for (const { debian, why } of missing) console.error(`missing: ${debian} (${why})`)
  if (process.getuid?.() === 0 && onPath('apt-get')) {
    run('apt-get', ['update', '-qq'])
    run('apt-get', ['install', '-y', '-qq', '--no-install-recommends', ...names])
  }
  const still = missing.filter(({ present }) => !present()).map(({ debian }) => debian)
  if (still.length > 0) fail(`install first: apt-get install ${still.join(' ')}`)
}

function run(command: string, args: readonly string[]): number {
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' }
  return spawnSync(command, args, { stdio: 'inherit', env }).status ?? 1
}

function fail(message: string): never {
  console.error(`npm test: error: ${message}`)
  process.exit(1)
}

function runTests(): void {
  const directory = mkdtempSync(join(tmpdir(), 'mortise-test-'))
  const report = join(directory, 'report.json')
  const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${report}`]
  const status = run(process.execPath, [
    'node_modules/vitest/vitest.mjs',
    'run',
    ...reporters,
    ...process.argv.slice(2),
  ])
  if (!existsSync(report)) fail('vitest wrote no report')
  const { numPassedTests, numFailedTests, numPendingTests, numTotalTests, success } = JSON.parse(
    readFileSync(report, 'utf8'),
  ) as {
    numPassedTests: number
    numFailedTests: number
    numPendingTests: number
    numTotalTests: number
    success: boolean
  }
  rmSync(directory, { recursive: true })
  if (numTotalTests === 0) fail('no test was run')
  // A file that cannot be loaded has no tests to fail, but the run has failed all the same.
  const failed = numFailedTests === 0 && !success ? 1 : numFailedTests
  const skipped = numPendingTests > 0 ? `, ${numPendingTests} skipped` : ''
  console.log(`${numPassedTests} passed, ${failed} failed${skipped}`)
  process.exitCode = status === 0 && failed === 0 ? 0 : 1
}

installMissing()
runTests()
