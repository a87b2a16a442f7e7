import { dataDirectory } from './config/index.ts'
import { filedCertificates } from './http/certificates-own.ts'
import { type Administration, LocalAdministration } from './kms/index.ts'
import { acquireDirectoryLock } from './lock/index.ts'
import { openDatabase } from './storage/index.ts'

export interface LocalAdministrationFiles {
  /** Certificate of the Backend Interfaces listener, where it is not the installation's own. */
  readonly biCertificate?: string | undefined
}

/**
 * The administration of a directory whose server does not run: it reads the database, and orders wait there for the next
 * start. Holds the directory's lock.
 * @throws StorageError database_locked while a server runs
 */
export function openLocalAdministration(
  root: string,
  { biCertificate }: LocalAdministrationFiles = {},
): Administration & AsyncDisposable {
  const directory = dataDirectory(root)
  const lock = acquireDirectoryLock(directory.root)
  const storage = openDatabase(directory.database)
  const administration = new LocalAdministration({
    storage: storage.administration,
    ownCertificates: filedCertificates(
      { backendInterfaces: biCertificate ?? directory.tlsCertificate, managementApi: directory.tlsCertificate },
      directory.caCertificate,
    ),
  })
  return Object.assign(administration, {
    [Symbol.asyncDispose]: () => {
      storage[Symbol.dispose]()
      lock[Symbol.dispose]()
      return Promise.resolve()
    },
  })
}
