import { accessSync, constants, existsSync } from 'node:fs'
import { createConnection } from 'node:net'
import type { Command } from 'commander'
import {
  dataDirectory,
  type HsmChoice,
  type ListenAddress,
  type RunningServer,
  startServer,
  type TlsFiles,
} from '@mortise/server'
import { refuseWithoutInstallation } from '../administration.ts'
import { type ConfigFile, readConfigFile } from '../config-file.ts'
import { usageError } from '../errors.ts'
import { checkSecretFile } from '../files.ts'
import { asPath, type DataOptions, examples, integer, repeated, withJson } from '../options.ts'
import { note, report, warn } from '../output.ts'

type ServeCommandOptions = DataOptions & ConfigFile

const DEFAULT_BI_LISTEN = '127.0.0.1:8443'
const DEFAULT_API_LISTEN = '127.0.0.1:8444'
const MAX_WORKERS = 64
const TLS_OPTIONS = ['tlsCert', 'tlsKey'] as const
const HSM_OPTIONS = ['passphraseFile', 'pinFile', 'hsmSocket', 'workers'] as const

export function registerServe(program: Command): void {
  const command = withJson(program.command('serve'))
    .description('run the Join Server')
    .option('--passphrase-file <file>', 'passphrase of the soft HSM, read by the HSM process alone', asPath)
    .option('--pin-file <file>', 'PIN of the PKCS#11 token, read by the HSM process alone', asPath)
    .option('--hsm-socket <socket>', 'socket of an HSM process that runs apart (`mortise hsm serve`)', asPath)
    .option('--bi-listen <host:port>', `Backend Interfaces listener (default: ${DEFAULT_BI_LISTEN})`)
    .option('--api-listen <host:port>', `management API listener (default: ${DEFAULT_API_LISTEN})`)
    .option(
      '--bi-path <path>',
      'further path of the Backend Interfaces listener beside /, repeatable',
      repeated(String),
    )
    .option(
      '--tls-cert <file>',
      'certificate of the Backend Interfaces listener, PEM (default: DIR/tls/cert.pem)',
      asPath,
    )
    .option('--tls-key <file>', 'its private key, PEM', asPath)
    .option('--workers <n>', 'workers of the HSM process', integer(1, MAX_WORKERS))
    .action(serve)
  examples(
    command,
    'mortise serve --data ./js --passphrase-file ./passphrase',
    'mortise serve --data ./js --bi-listen 0.0.0.0:8443 --api-listen 127.0.0.1:8444',
    'mortise serve --data ./js --hsm-socket /run/mortise/server.sock',
    'mortise serve --data ./js --tls-cert fullchain.pem --tls-key privkey.pem',
  )
  command.addHelpText(
    'after',
    '\nDIR/mortise.yaml may hold every option in camelCase, such as `biListen: 0.0.0.0:8443`.',
  )
}

async function serve(options: ServeCommandOptions): Promise<void> {
  refuseWithoutInstallation(options.data)
  const directory = dataDirectory(options.data)
  const settings = withFlags(readConfigFile(directory.configuration), options)
  const hsm = hsmChoice(settings)
  const addresses = {
    biListen: parseListen('--bi-listen', settings.biListen ?? DEFAULT_BI_LISTEN),
    apiListen: parseListen('--api-listen', settings.apiListen ?? DEFAULT_API_LISTEN),
  }
  const biTls = tlsFiles(settings)
  warnOfOperatorFiles(options.data)
  const stop = stopSignal()
  const running = await startServer({
    dataDirectory: options.data,
    hsm,
    ...addresses,
    ...(settings.biPath !== undefined && { biPaths: settings.biPath }),
    ...(biTls !== undefined && { biTls }),
    log: note,
  })
  tellListening(settings, hsm, running)
  if (hsm.kind === 'socket' && !(await isListening(hsm.path)))
    note(`waiting for the HSM process at ${hsm.path}; start it with: mortise hsm serve`)
  try {
    await Promise.race([stop, running.stopped])
  } finally {
    await running.stop()
  }
}

/** A flag that says how the HSM is reached, or whose certificate is shown, replaces whatever the file says of it. */
function withFlags(config: ConfigFile, flags: ServeCommandOptions): ServeCommandOptions {
  const replaced: readonly string[] = [HSM_OPTIONS, TLS_OPTIONS].flatMap((group) => {
    return group.some((name) => flags[name] !== undefined) ? [...group] : []
  })
  const kept = Object.entries(config).filter(([name]) => !replaced.includes(name))
  return { ...Object.fromEntries(kept), ...flags }
}

/** Whether the two are a pair, and good, the server says. */
function tlsFiles({ tlsCert, tlsKey }: ConfigFile): TlsFiles | undefined {
  if (tlsCert === undefined && tlsKey === undefined) return undefined
  if (tlsCert !== undefined && tlsKey !== undefined) return { certificate: tlsCert, key: tlsKey }
  throw usageError('--tls-cert and --tls-key go together', 'give both, or neither')
}

function hsmChoice({ passphraseFile, pinFile, hsmSocket, workers }: ConfigFile): HsmChoice {
  if (passphraseFile !== undefined && pinFile !== undefined)
    throw usageError('--passphrase-file opens a soft HSM and --pin-file a token: give one of them')
  const secretFile = passphraseFile ?? pinFile
  if (hsmSocket !== undefined) {
    if (secretFile !== undefined || workers !== undefined)
      throw usageError(
        '--hsm-socket names an HSM process that runs apart',
        'give --passphrase-file, --pin-file and --workers to `mortise hsm serve`',
      )
    return { kind: 'socket', path: hsmSocket }
  }
  if (secretFile !== undefined) checkSecretFile(secretFile, 'name the file that `mortise init` used')
  return {
    kind: 'spawn',
    ...(secretFile !== undefined && { secretFile, secretKind: pinFile === undefined ? 'passphrase' : 'pin' }),
    ...(workers !== undefined && { workers }),
  }
}

/** `HOST:PORT` or `[IPV6]:PORT`. */
function parseListen(option: string, text: string): ListenAddress {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^:[\]\s]+)):(\d{1,5})$/.exec(text)
  const host = match?.[1] ?? match?.[2]
  const port = Number(match?.[3])
  if (host === undefined || !(port <= 65_535)) throw usageError(`${option} must be HOST:PORT, not ${text}`)
  return { host, port }
}

/** The operator's files belong on another machine, or at least to another user, once the installation is in use. */
function warnOfOperatorFiles(data: string): void {
  const { root, operatorKey, caKey, apiKey, recoveryKey } = dataDirectory(data).operator
  const readable = [operatorKey, caKey, apiKey, recoveryKey].filter(isReadable)
  if (readable.length === 0) return
  warn(
    `the server can read ${readable.join(', ')}: whoever takes it over can sign as the operator. ` +
      `Move ${root} to the operator's own machine; the server needs none of it`,
  )
}

function isReadable(path: string): boolean {
  if (!existsSync(path)) return false
  try {
    accessSync(path, constants.R_OK)
    return true
  } catch {
    return false
  }
}

function tellListening(options: DataOptions, hsm: HsmChoice, { biAddress, apiAddress }: RunningServer): void {
  const bi = urlOf(biAddress)
  const api = urlOf(apiAddress)
  report(options, { listening: true, bi, api, pid: process.pid }, () => {
    return `mortise: listening: Backend Interfaces on ${bi}, management API on ${api}`
  })
  if (hsm.kind === 'spawn' && hsm.secretFile === undefined)
    note(`the HSM is sealed: no join is answered before it is opened with: mortise unseal --data ${options.data}`)
}

/** Whether anybody takes connections on a socket. */
function isListening(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = createConnection(path)
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
    socket.once('error', () => {
      resolve(false)
    })
  })
}

function urlOf({ host, port }: ListenAddress): string {
  return `https://${host.includes(':') ? `[${host}]` : host}:${port}`
}

/** Resolves at the first SIGTERM or SIGINT; later ones find the server stopping already. */
function stopSignal(): Promise<void> {
  return new Promise((resolve) => {
    process.on('SIGTERM', () => {
      resolve()
    })
    process.on('SIGINT', () => {
      resolve()
    })
  })
}
