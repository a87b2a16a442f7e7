import type { X509Certificate } from 'node:crypto'
import { lookup } from 'node:dns/promises'
import { connect as connectTcp, isIP, type Socket } from 'node:net'
import type { TLSSocket } from 'node:tls'
import { connectTls } from '@mortise/backend-interfaces'
import { errorCode } from '../errors.ts'
import { type Check, ok, skipped, wrong } from './check.ts'
import type { Credentials } from './check-files.ts'

/** For each step; a network server gives up after five seconds at the earliest. */
const STEP_TIMEOUT_MS = 5000

export interface Endpoint {
  /** A name, or an address without brackets. */
  readonly host: string
  readonly port: number
}

/** @throws TypeError when it is no URL */
export function endpointOf(url: string): Endpoint {
  const { hostname, port } = new URL(url)
  return { host: hostname.replace(/^\[|\]$/g, ''), port: port === '' ? 443 : Number(port) }
}

/** Where the address and the CA come from, in words for whoever has to compare them. */
export interface Origin {
  readonly address: string
  readonly ca: string
  readonly caFile: string
}

const KIT: Origin = { address: 'the kit', ca: 'the CA of the kit', caFile: 'the ca.pem of the kit' }

/** From the name to a TLS connection that both sides accept. Ends at the first step that fails. */
export async function checkNetwork(
  endpoint: Endpoint,
  credentials: Credentials,
  nowMs: number,
  origin = KIT,
): Promise<Check[]> {
  const dns = await checkDns(endpoint)
  if (dns.status === 'wrong') return [dns, ...unreached('tcp', 'tls')]
  const tcp = await checkTcp(endpoint, origin)
  if (tcp.status === 'wrong') return [dns, tcp, ...unreached('tls')]
  return [dns, tcp, ...(await checkTls(endpoint, credentials, nowMs, origin))]
}

function unreached(...names: readonly ('tcp' | 'tls')[]): Check[] {
  return names.map((name) => skipped(name, 'not reached'))
}

async function checkDns({ host }: Endpoint): Promise<Check> {
  if (isIP(host) !== 0) return ok('dns', `${host} is an address`)
  try {
    const addresses = await lookup(host, { all: true })
    return ok('dns', `${host} is ${addresses.map(({ address }) => address).join(', ')}`)
  } catch (error) {
    return wrong(
      'dns',
      `${host} has no address here (${errorCode(error) ?? 'unknown'}).`,
      'mend the name in the configuration, or the resolver of this machine; ask the operator of the join server.',
    )
  }
}

async function checkTcp({ host, port }: Endpoint, { address }: Origin): Promise<Check> {
  const outcome = await outcomeOf(
    connectTcp({ host, port, timeout: STEP_TIMEOUT_MS }),
    'connect',
    () => 'open' as const,
  )
  if (outcome === 'open') return ok('tcp', `port ${port} is open`)
  const { problem } = outcome
  return wrong(
    'tcp',
    problem === 'timeout'
      ? `nothing came back from ${host}, port ${port}.`
      : `${host}, port ${port} cannot be reached (${problem}).`,
    problem === 'ECONNREFUSED'
      ? `nobody listens there: compare the port with ${address}, and ask whether the join server runs.`
      : 'look for a firewall on the way, from this machine to the join server.',
  )
}

interface Failure {
  readonly problem: string
}

/** What `read` gives when `event` comes, or the code of the failure that came instead. The socket ends with it. */
function outcomeOf<Value, Stream extends Socket>(
  socket: Stream,
  event: 'connect' | 'secureConnect',
  read: (socket: Stream) => Value,
): Promise<Value | Failure> {
  return new Promise((resolve) => {
    const end = (outcome: Value | Failure): void => {
      resolve(outcome)
      socket.destroy()
    }
    socket.once(event, () => {
      end(read(socket))
    })
    socket.once('timeout', () => {
      end({ problem: 'timeout' })
    })
    socket.once('error', (error) => {
      end({ problem: errorCode(error) ?? error.message })
    })
    socket.once('close', () => {
      end({ problem: 'closed' })
    })
  })
}

/** Nothing is sent here but the handshake: what is shown is judged, not trusted. */
async function checkTls(endpoint: Endpoint, credentials: Credentials, nowMs: number, origin: Origin): Promise<Check[]> {
  const { host, port } = endpoint
  const socket = connectTls({
    ...{ host, port, servername: isIP(host) === 0 ? host : '', ...credentials },
    ...{ timeout: STEP_TIMEOUT_MS, minVersion: 'TLSv1.2', rejectUnauthorized: false },
  })
  const shown = await outcomeOf(socket, 'secureConnect', shownBy)
  if ('problem' in shown) return [tlsFailure(shown.problem, origin)]
  const { certificate, chainError, protocol } = shown
  return [
    ok('tls', protocol),
    checkChain(certificate, chainError, origin),
    checkName(endpoint, certificate),
    checkValidity(certificate, nowMs),
  ]
}

interface Shown {
  readonly certificate: X509Certificate
  /** Undefined when the chain ends at the CA that is trusted. */
  readonly chainError: string | undefined
  readonly protocol: string
}

/** Reasons beside the chain have checks of their own. */
const NOT_THE_CHAIN = new Set(['CERT_HAS_EXPIRED', 'CERT_NOT_YET_VALID', 'ERR_TLS_CERT_ALTNAME_INVALID'])

function shownBy(socket: TLSSocket): Shown | Failure {
  const certificate = socket.getPeerX509Certificate()
  if (certificate === undefined) return { problem: 'no certificate' }
  // Documented as an Error, but it is the code of OpenSSL or, for a name, the error itself.
  const reason: unknown = socket.authorizationError
  const code = typeof reason === 'string' ? reason : errorCode(reason)
  const chainError = code === undefined || NOT_THE_CHAIN.has(code) ? undefined : code
  return { certificate, chainError, protocol: socket.getProtocol() ?? 'TLS' }
}

function tlsFailure(problem: string, { address }: Origin): Check {
  if (/WRONG_VERSION_NUMBER|UNEXPECTED_MESSAGE|PACKET_LENGTH_TOO_LONG|HTTP_REQUEST/.test(problem))
    return wrong('tls', 'what answers there does not speak TLS.', `take the port of the join server from ${address}.`)
  if (/ALERT|CERTIFICATE|UNKNOWN_CA/.test(problem))
    return wrong(
      'tls',
      `the server, or a proxy in front of it, breaks the handshake off (${problem}).`,
      'have TLS passed through to the join server: it checks the client certificate itself.',
    )
  return wrong(
    'tls',
    `the handshake failed (${problem}).`,
    'look for a proxy or firewall that takes TLS apart; have it passed through.',
  )
}

function checkChain(certificate: X509Certificate, chainError: string | undefined, { ca, caFile }: Origin): Check {
  const issuer = certificate.issuer.replaceAll('\n', ', ')
  if (chainError === undefined) return ok('tls-chain', `the server certificate is by ${issuer}`)
  return wrong(
    'tls-chain',
    `the server certificate is by ${issuer}, and not by ${ca} (${chainError}).`,
    `use ${caFile}. If it is used, something else answers (a proxy that opens TLS?), or the join server has a new CA: ask its operator.`,
  )
}

function checkName({ host }: Endpoint, certificate: X509Certificate): Check {
  // As the network servers do it: a common name counts for nothing.
  const matches = isIP(host) === 0 ? certificate.checkHost(host, { subject: 'never' }) : certificate.checkIP(host)
  if (matches !== undefined) return ok('tls-name', `it is valid for ${host}`)
  const names = certificate.subjectAltName ?? 'none'
  return wrong(
    'tls-name',
    `the server certificate is not for ${host}; its names are: ${names}.`,
    `use one of these names, or have the join server's certificate issued for ${host} as well.`,
  )
}

function checkValidity({ validFromDate, validToDate }: X509Certificate, nowMs: number): Check {
  if (validToDate.getTime() < nowMs)
    return wrong(
      'tls-validity',
      `the server certificate expired on ${validToDate.toISOString()}; here it is ${new Date(nowMs).toISOString()}.`,
      'if this clock is right, the operator of the join server has to renew it (`mortise certificate renew`).',
    )
  if (validFromDate.getTime() > nowMs)
    return wrong(
      'tls-validity',
      `the server certificate is valid from ${validFromDate.toISOString()} only; here it is ${new Date(nowMs).toISOString()}.`,
      'set the clock of this machine (NTP).',
    )
  return ok('tls-validity', `it is valid until ${validToDate.toISOString().slice(0, 10)}`)
}
