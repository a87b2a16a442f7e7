export { dataDirectory, type DataDirectory, operatorDirectory, type OperatorDirectory } from './config/index.ts'
export type { HsmChoice, ListenAddress, ServeOptions } from './config/index.ts'
export { type RunningServer, startServer } from './main.ts'
export { openLocalAdministration } from './open-local-administration.ts'
/** For the benchmark, whose bare server is to have the same handshake. */
export { TLS_OPTIONS } from './http/tls-options.ts'
export * from './kms/index.ts'
export { newApiKey } from './identity/index.ts'
export { createDatabase, openDatabase, type Storage, StorageError, type StorageErrorCode } from './storage/index.ts'
