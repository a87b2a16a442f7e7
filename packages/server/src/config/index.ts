export {
  dataDirectory,
  operatorDirectory,
  routeKeyFile,
  routesWithKey,
  type DataDirectory,
  type OperatorDirectory,
} from './data-directory.ts'
export type { HsmChoice, ListenAddress, ServeOptions, TlsFiles } from './options.ts'
export { writeServerFile } from './server-file.ts'
