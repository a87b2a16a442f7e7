export { dataDirectory, operatorDirectory, type DataDirectory, type OperatorDirectory } from './data-directory.ts'
export type { HsmChoice, ListenAddress, ServeOptions } from './options.ts'
export { writeServerFile } from './server-file.ts'
