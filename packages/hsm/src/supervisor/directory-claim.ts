import { statSync } from 'node:fs'
import { createServer } from 'node:net'
import { HsmError } from '../errors.ts'

/**
 * Makes this the one HSM process of a directory until it ends: two would write one store and give the same numbers to
 * different receipts. The claim is an abstract Unix socket named after the directory itself, which the kernel frees with
 * the process, so that it can be neither stale nor reached by another path. It holds within one network namespace.
 * @throws HsmError busy
 */
export async function claimDirectory(directory: string): Promise<Disposable> {
  const { dev, ino } = statSync(directory)
  const server = createServer((socket) => socket.destroy())
  await new Promise<void>((resolve, reject) => {
    server.once('error', () => {
      reject(new HsmError('busy', `another HSM process serves ${directory}`))
    })
    server.listen(`\0mortise-hsm-${dev}-${ino}`, resolve)
  })
  server.unref()
  return {
    [Symbol.dispose]() {
      server.close()
    },
  }
}
