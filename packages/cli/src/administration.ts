import { existsSync, readFileSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import { readSecretLine } from '@mortise/hsm'
import { type Administration, dataDirectory, openLocalAdministration, readCertificateFile } from '@mortise/server'
import { HttpAdministration } from './api/http-administration.ts'
import { readConfigFile } from './config-file.ts'
import { CliError, errorCode, usageError } from './errors.ts'
import { readTextFile } from './files.ts'
import { operatorFiles } from './operator.ts'
import type { ServerOptions } from './options.ts'

/** How long a server may take to start, or another command to end. */
const WAIT_MS = 10_000
const RETRY_MS = 100
/** Always among the names of the certificate, wherever the server listens. */
const LOCAL_SERVER_NAME = 'localhost'

export interface OpenAdministration extends Administration, AsyncDisposable {
  /** Whether a server runs, which carries orders out at once when its HSM is ready. */
  readonly online: boolean
}

/**
 * The API of a running server, or the directory itself under its lock when none runs.
 * @throws CliError no_installation, directory_busy, server_unreachable
 */
export async function openAdministration(options: ServerOptions): Promise<OpenAdministration> {
  if (options.url !== undefined) return connect(options, checkUrl(options.url))
  refuseWithoutInstallation(options.data)
  const deadline = Date.now() + WAIT_MS
  for (;;) {
    const open = (await openRunningServer(options)) ?? openUnlessLocked(options.data)
    if (open !== undefined) return open
    if (Date.now() > deadline)
      throw new CliError('directory_busy', `another Mortise process works on ${options.data} and does not answer`, {
        hint: busyHint(options.data),
      })
    await delay(RETRY_MS)
  }
}

/** @throws CliError no_installation */
export function refuseWithoutInstallation(data: string): void {
  if (existsSync(dataDirectory(data).database)) return
  throw new CliError('no_installation', `there is no Mortise installation in ${data}`, {
    hint: `name its directory with --data or MORTISE_DATA, or make one: mortise init --data ${data}`,
  })
}

async function openRunningServer(options: ServerOptions): Promise<OpenAdministration | undefined> {
  const url = runningServerUrl(options.data)
  if (url === undefined) return undefined
  const administration = connect(options, url, LOCAL_SERVER_NAME)
  if (await administration.isReachable()) return administration
  await administration[Symbol.asyncDispose]()
  return undefined
}

function openUnlessLocked(data: string): OpenAdministration | undefined {
  try {
    const biCertificate = configuredCertificate(data)
    return Object.assign(openLocalAdministration(data, { biCertificate }), { online: false })
  } catch (error) {
    if (errorCode(error) === 'database_locked') return undefined
    throw error
  }
}

/** As the server would have it, were it started without options. What is wrong with the file, `serve` says. */
function configuredCertificate(data: string): string | undefined {
  try {
    return readConfigFile(dataDirectory(data).configuration).tlsCert
  } catch {
    return undefined
  }
}

/** A server whose certificate has ended runs, and no command talks to it. */
function busyHint(data: string): string {
  const { tlsCertificate, caCertificate } = dataDirectory(data)
  if (isExpired(caCertificate)) return `${caCertificate} has expired: mortise certificate renew --ca`
  if (isExpired(tlsCertificate)) return `${tlsCertificate} has expired: mortise certificate renew`
  return 'wait for it to end, or stop it'
}

function isExpired(path: string): boolean {
  try {
    return readCertificateFile(path).validToDate.getTime() <= Date.now()
  } catch {
    return false
  }
}

function connect(options: ServerOptions, url: string, serverName?: string): HttpAdministration {
  const ca = readTextFile(
    options.caFile ?? dataDirectory(options.data).caCertificate,
    'the CA certificate',
    'name the ca.pem of the installation with --ca-file',
  )
  const apiKey = (): string => readApiKey(options)
  return new HttpAdministration({ url, ca, apiKey, ...(serverName !== undefined && { serverName }) })
}

function readApiKey(options: ServerOptions): string {
  const path = options.apiKeyFile ?? operatorFiles(options).apiKey
  if (!existsSync(path))
    throw new CliError('api_key_missing', `the API key ${path} does not exist`, {
      hint: 'name the file with --api-key-file',
    })
  return readSecretLine(
    path,
    'name the file with --api-key-file, or make another key: mortise api-key create',
  ).toString()
}

/** Its origin. @throws CliError usage */
export function checkUrl(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (url?.protocol !== 'https:')
    throw usageError(`--url must be an https:// address, not ${text}`, 'such as https://js.example:8444')
  return url.origin
}

/** Where the server of this directory said that it listens; it may have been killed since. */
export function runningServerUrl(data: string): string | undefined {
  const { serverFile } = dataDirectory(data)
  try {
    const { api } = JSON.parse(readFileSync(serverFile, 'utf8')) as { api?: unknown }
    return typeof api === 'string' ? localUrl(api) : undefined
  } catch {
    // Not there, or about to be written: the caller tries again.
    return undefined
  }
}

function localUrl(address: string): string {
  const colon = address.lastIndexOf(':')
  const host = address.slice(0, colon).replace(/^\[|\]$/g, '')
  const port = address.slice(colon + 1)
  const reachable = host === '0.0.0.0' ? '127.0.0.1' : host === '::' ? '::1' : host
  return `https://${reachable.includes(':') ? `[${reachable}]` : reachable}:${port}`
}
