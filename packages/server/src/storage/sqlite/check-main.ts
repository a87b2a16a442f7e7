import { writeSync } from 'node:fs'
import { StorageError } from '../ports.ts'
import { Connection } from './connection.ts'
import { findDamage } from './integrity.ts'
import { setUpConnection } from './settings.ts'

/**
 * Checks the database that is its argument from end to end, beside the server that writes to it, and writes what it
 * found as one line of JSON: `{"finding": "…"}`, or `{}`. A process of its own, because nothing else can be told to stop
 * in the middle and leaves the server's processor alone.
 */
function check(path: string): string | undefined {
  try {
    using connection = new Connection(path, { readOnly: true })
    setUpConnection(connection)
    return findDamage(connection)
  } catch (error) {
    if (error instanceof StorageError && error.code === 'database_corrupt') return error.message
    throw error
  }
}

writeSync(1, JSON.stringify({ finding: check(process.argv[2] ?? '') }))
