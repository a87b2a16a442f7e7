import { spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'

const DEBIAN = '/usr/lib/postgresql'

/** A PostgreSQL of a test's own, on a socket in a directory of its own. It will not run as root: Debian's user does. */
export class PostgresqlCluster implements AsyncDisposable {
  readonly #directory = mkdtempSync(join(tmpdir(), 'mortise-postgresql-'))
  readonly #data = join(this.#directory, 'data')
  readonly #pools: pg.Pool[] = []

  constructor() {
    if (process.getuid?.() === 0) run('chown', ['postgres:', this.#directory])
    this.#run('initdb', ['--pgdata', this.#data, '--auth=trust', '--username=mortise', '--encoding=UTF8', '--no-sync'])
    this.start()
  }

  start(options = ''): void {
    const settings = `-c listen_addresses='' -c unix_socket_directories='${this.#directory}' ${options}`
    this.#run('pg_ctl', ['--pgdata', this.#data, '--log', join(this.#directory, 'log'), '-w', '-o', settings, 'start'])
  }

  /** As when the machine ends: nothing is written any more. */
  crash(): void {
    this.#run('pg_ctl', ['--pgdata', this.#data, '-m', 'immediate', 'stop'])
  }

  pool(): pg.Pool {
    const pool = new pg.Pool({ host: this.#directory, user: 'mortise', database: 'postgres', max: 8 })
    // Idle connections end with the server; what is asked then fails by itself.
    pool.on('error', () => undefined)
    this.#pools.push(pool)
    return pool
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const pool of this.#pools) await pool.end()
    this.#run('pg_ctl', ['--pgdata', this.#data, '-m', 'fast', 'stop'])
    rmSync(this.#directory, { recursive: true })
  }

  #run(program: string, args: readonly string[]): void {
    const path = join(programs(), program)
    if (process.getuid?.() !== 0) run(path, args)
    else run('setpriv', ['--reuid=postgres', '--regid=postgres', '--init-groups', path, ...args])
  }
}

function programs(): string {
  const [newest] = existsSync(DEBIAN) ? readdirSync(DEBIAN).toSorted((a, b) => Number(b) - Number(a)) : []
  if (newest === undefined) throw new Error('PostgreSQL is missing: apt-get install postgresql')
  return join(DEBIAN, newest, 'bin')
}

function run(program: string, args: readonly string[]): void {
  const { status, stderr } = spawnSync(program, args, {
    encoding: 'utf8',
    cwd: tmpdir(),
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  if (status !== 0) throw new Error(`${program}: ${stderr}`)
}
