import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'

/** Where everything of one installation lies. */
export interface DataDirectory {
  readonly root: string
  readonly database: string
  /** Read by the HSM process alone. */
  readonly hsm: string
  readonly run: string
  readonly serverSocket: string
  readonly custodianSocket: string
  /** Addresses of the running server, for commands on the same machine. */
  readonly serverFile: string
  readonly tlsCertificate: string
  readonly tlsKey: string
  readonly caCertificate: string
  /** Private keys that are shown to other join servers: see {@link routeKeyFile}. */
  readonly routes: string
  readonly recoveryFile: string
  readonly configuration: string
  readonly operator: OperatorDirectory
}

/** The operator's side; the server needs none of it. */
export interface OperatorDirectory {
  readonly root: string
  readonly operatorKey: string
  readonly caKey: string
  readonly apiKey: string
  readonly recoveryKey: string
  readonly hsmFile: string
  /** Highest sequence number signed so far. */
  readonly lastSequence: string
}

export function dataDirectory(root: string): DataDirectory {
  const run = join(root, 'run')
  return {
    root,
    database: join(root, 'mortise.db'),
    hsm: join(root, 'hsm'),
    run,
    serverSocket: join(run, 'server.sock'),
    custodianSocket: join(run, 'custodian.sock'),
    serverFile: join(run, 'server.json'),
    tlsCertificate: join(root, 'tls', 'cert.pem'),
    tlsKey: join(root, 'tls', 'key.pem'),
    caCertificate: join(root, 'ca.pem'),
    routes: join(root, 'routes'),
    recoveryFile: join(root, 'recovery.json'),
    configuration: join(root, 'mortise.yaml'),
    operator: operatorDirectory(join(root, 'operator')),
  }
}

/** Private key of the certificate that a route shows; its id is 32 hex digits. */
export function routeKeyFile({ routes }: DataDirectory, routeId: string): string {
  return join(routes, `${routeId}.key`)
}

/** Of every route whose private key is there, with or without the route. */
export function routesWithKey({ routes }: DataDirectory): string[] {
  const names = existsSync(routes) ? readdirSync(routes) : []
  return names.flatMap((name) => /^([0-9a-f]{32})\.key$/.exec(name)?.[1] ?? [])
}

export function operatorDirectory(root: string): OperatorDirectory {
  return {
    root,
    operatorKey: join(root, 'operator-key.pem'),
    caKey: join(root, 'ca-key.pem'),
    apiKey: join(root, 'api-key'),
    recoveryKey: join(root, 'recovery-key'),
    hsmFile: join(root, 'hsm.json'),
    lastSequence: join(root, 'last-sequence'),
  }
}
