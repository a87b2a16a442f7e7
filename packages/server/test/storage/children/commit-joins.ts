import { writeFileSync, writeSync } from 'node:fs'
import { openDatabase } from '../../../src/storage/index.ts'
import { Connection } from '../../../src/storage/sqlite/connection.ts'
import { setUpWriter } from '../../../src/storage/sqlite/settings.ts'
import { sqliteStorage } from '../../../src/storage/sqlite/storage.ts'
import { keySetOf, nextJoin } from '../fixtures.ts'

/**
 * Joins the device of the database again and again, and writes a line for each as soon as its commit has resolved: the
 * JoinNonce, or the code of the failure. Arguments: path, number of joins, `safe` or `unsafe` (the log is not synced).
 */
const [path = '', count = '0', mode = 'safe'] = process.argv.slice(2)

function openUnsafe() {
  const connection = new Connection(path, { readOnly: false })
  setUpWriter(connection)
  // Another file than the log: it is synced in vain.
  writeFileSync(`${path}-other-wal`, '')
  return sqliteStorage(connection, `${path}-other`, { readOnly: false })
}

const storage = mode === 'safe' ? openDatabase(path) : openUnsafe()
// A system call to look for in a trace: what comes before belongs to the opening.
writeSync(1, 'ready\n')
for (let i = 0; i < Number(count); i++) {
  const join = nextJoin(keySetOf(storage))
  try {
    await storage.joins.commit([{ join }])
    writeSync(1, `${join.last.joinNonce}\n`)
  } catch (error) {
    writeSync(1, `${error instanceof Error && 'code' in error ? String(error.code) : String(error)}\n`)
  }
}
// Without closing the database: whatever is to survive is already on the disk.
process.exit(0)
