export { acquireDirectoryLock, type DirectoryLock } from './directory-lock.ts'
