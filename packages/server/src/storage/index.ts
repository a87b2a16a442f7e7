export * from './directory-ports.ts'
export * from './ports.ts'
export { createDatabase, openDatabase } from './open.ts'
export { toStorageError } from './sqlite/storage-error.ts'
