import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { HsmError } from '../errors.ts'

const LOCK_FILE = 'lock'

/**
 * Makes this the one HSM process of a directory until it ends: two would write one store and give the same numbers to
 * different receipts. The claim is SQLite's lock of a file inside the directory, where nobody else may look: the kernel
 * frees it with the process, also after SIGKILL, so that it is never stale.
 * @throws HsmError busy
 */
export function claimDirectory(directory: string): Disposable {
  const database = new DatabaseSync(join(directory, LOCK_FILE))
  try {
    database.exec('PRAGMA journal_mode = MEMORY; BEGIN EXCLUSIVE')
  } catch (error) {
    database.close()
    throw new HsmError('busy', `another HSM process serves ${directory}`, { cause: error })
  }
  return {
    [Symbol.dispose]() {
      database.close()
    },
  }
}
