import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, onTestFinished } from 'vitest'
import {
  MemorySessionStore,
  PostgresqlSessionStore,
  type SessionStore,
  type SessionStoreLimits,
  SqliteSessionStore,
} from '../../src/index.ts'
import { PostgresqlCluster } from './postgresql-cluster.ts'

/** A directory that goes with the test. */
export function directory(): string {
  const path = mkdtempSync(join(tmpdir(), 'mortise-sessions-'))
  onTestFinished(() => {
    rmSync(path, { recursive: true })
  })
  return path
}

let cluster: PostgresqlCluster | undefined
let schemas = 0

afterAll(() => cluster?.[Symbol.asyncDispose]())

function openInPostgresql(limits?: SessionStoreLimits): Promise<SessionStore> {
  cluster ??= new PostgresqlCluster()
  schemas += 1
  return PostgresqlSessionStore.open({ pool: cluster.pool(), schema: `test_${schemas}`, ...(limits && { limits }) })
}

/** Every implementation of the port, each new and empty. */
export const STORES: readonly (readonly [string, (limits?: SessionStoreLimits) => Promise<SessionStore>])[] = [
  ['memory', (limits) => Promise.resolve(new MemorySessionStore(limits))],
  ['SQLite', (limits) => Promise.resolve(new SqliteSessionStore(join(directory(), 'sessions.db'), limits))],
  ['PostgreSQL', openInPostgresql],
]
