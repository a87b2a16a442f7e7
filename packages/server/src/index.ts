export {
  dataDirectory,
  type DataDirectory,
  operatorDirectory,
  type OperatorDirectory,
  routeKeyFile,
} from './config/index.ts'
export type { HsmChoice, ListenAddress, ServeOptions, TlsFiles } from './config/index.ts'
export type { RunningServer } from './main.ts'
export { startServer } from './start-server.ts'
export { openLocalAdministration } from './open-local-administration.ts'
export { CertificateError, type CertificateErrorCode, readCertificateFile } from './http/certificates.ts'
export { certificateNames } from './http/certificates-names.ts'
export { subjectText } from './certificate-subject.ts'
export { fitnessFor } from './key-usage.ts'
/** For the benchmark, whose bare server is to have the same handshake. */
export { TLS_OPTIONS } from './http/tls-options.ts'
export * from './kms/index.ts'
export { hashSecret, newApiKey, newToken } from './identity/index.ts'
export { createDatabase, openDatabase, type Storage, StorageError, type StorageErrorCode } from './storage/index.ts'
