import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'
import { MemorySessionStore, type SessionStore, type SessionStoreLimits, SqliteSessionStore } from '../../src/index.ts'

/** A directory that goes with the test. */
export function directory(): string {
  const path = mkdtempSync(join(tmpdir(), 'mortise-sessions-'))
  onTestFinished(() => {
    rmSync(path, { recursive: true })
  })
  return path
}

/** Every implementation of the port, each new and empty. */
export const STORES: readonly (readonly [string, (limits?: SessionStoreLimits) => SessionStore])[] = [
  ['memory', (limits) => new MemorySessionStore(limits)],
  ['SQLite', (limits) => new SqliteSessionStore(join(directory(), 'sessions.db'), limits)],
]
