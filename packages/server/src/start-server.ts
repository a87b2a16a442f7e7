import type { ServeOptions } from './config/index.ts'
import type { RunningServer } from './main.ts'

/**
 * Starts the server. Its listeners are loaded only now: every other command of the package's users starts a fifth sooner.
 * @throws StorageError when the directory is locked or the database cannot be trusted; CertificateError and
 *   SecretFileError when a certificate cannot be served
 */
export async function startServer(options: ServeOptions): Promise<RunningServer> {
  const main = await import('./main.ts')
  return await main.startServer(options)
}
