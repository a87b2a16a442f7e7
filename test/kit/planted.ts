import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { cpSync, readFileSync, writeFileSync } from 'node:fs'
import { createServer as createHttpServer, type RequestListener } from 'node:http'
import { createServer as createHttpsServer } from 'node:https'
import type { AddressInfo, Server } from 'node:net'
import { join } from 'node:path'
import { issueServerCertificate } from '@mortise/cli'
import type { Installation } from '../support/installation.ts'

/** A copy of a kit, in which one thing is to be broken. */
export class Copy {
  readonly directory: string

  constructor(kit: string, name: string) {
    this.directory = `${kit}-${name}`
    cpSync(kit, this.directory, { recursive: true })
  }

  path(...parts: string[]): string {
    return join(this.directory, ...parts)
  }

  /** @throws when what is to be changed is not there: the fault would not be planted */
  edit(file: string, from: string | RegExp, to: string): this {
    const text = readFileSync(this.path(file), 'utf8')
    const edited = text.replaceAll(typeof from === 'string' ? from : new RegExp(from, 'g'), to)
    if (edited === text) throw new Error(`${file} has no ${String(from)}`)
    writeFileSync(this.path(file), edited)
    return this
  }
}

/** Something that answers in place of the join server, on localhost. */
export class Impostor implements AsyncDisposable {
  readonly port: number
  readonly #close: () => Promise<void>

  private constructor(port: number, close: () => Promise<void>) {
    this.port = port
    this.#close = close
  }

  /** Shows a certificate, and answers every request in the same way. */
  static async tls(pair: { certificate: string; privateKey: string }, listener: RequestListener): Promise<Impostor> {
    const { certificate: cert, privateKey: key } = pair
    return Impostor.#listen(createHttpsServer({ cert, key, requestCert: true, rejectUnauthorized: false }, listener))
  }

  /** As `tls`, of a proxy that trusts an authority of its own and refuses every other client certificate. */
  static async strictTls(pair: { certificate: string; privateKey: string }, ca: string): Promise<Impostor> {
    const { certificate: cert, privateKey: key } = pair
    return Impostor.#listen(createHttpsServer({ cert, key, ca, requestCert: true, rejectUnauthorized: true }))
  }

  /** The same, of OpenSSL: it says in an alert that it does not know the authority. */
  static async openssl(
    directory: string,
    pair: { certificate: string; privateKey: string },
    ca: string,
  ): Promise<Impostor> {
    const [cert, key, authority] = ['s-cert.pem', 's-key.pem', 's-ca.pem'].map((name) => join(directory, name))
    if (cert === undefined || key === undefined || authority === undefined) throw new Error('no paths')
    writeFileSync(cert, pair.certificate)
    writeFileSync(key, pair.privateKey)
    writeFileSync(authority, ca)
    const files = ['-cert', cert, '-key', key, '-CAfile', authority]
    const child = spawn('openssl', [
      's_server',
      '-accept',
      '127.0.0.1:0',
      ...files,
      '-Verify',
      '1',
      '-verify_return_error',
      '-www',
    ])
    return new Impostor(await portOfServer(child), async () => {
      const ended = once(child, 'close')
      child.kill()
      await ended
    })
  }

  static async clear(listener: RequestListener): Promise<Impostor> {
    return Impostor.#listen(createHttpServer(listener))
  }

  static async #listen(server: Server): Promise<Impostor> {
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    return new Impostor((server.address() as AddressInfo).port, async () => {
      const closed = once(server, 'close')
      server.close()
      await closed
    })
  }

  get url(): string {
    return `https://localhost:${this.port}/`
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#close()
  }
}

/** The port that `openssl s_server` says it listens on. */
async function portOfServer(child: ChildProcess): Promise<number> {
  let output = ''
  for await (const chunk of child.stdout ?? []) {
    output += String(chunk)
    const port = /^ACCEPT .*:(\d+)$/m.exec(output)?.[1]
    if (port !== undefined) return Number(port)
  }
  throw new Error(`openssl s_server does not listen: ${output}`)
}

/** A certificate that the installation's own CA issues to these names. */
export async function issuedByOwnCa(installation: Installation, names: readonly [string, ...string[]]) {
  return issueServerCertificate(authority(installation), names)
}

/** The same with OpenSSL, valid for 30 days by the clock of `environment`. */
export function issuedAtAnotherTime(
  { data, root }: Installation,
  name: string,
  environment: Readonly<Record<string, string>>,
): { certificate: string; privateKey: string } {
  const [key, request, certificate, extensions] = ['key', 'csr', 'crt', 'ext'].map((end) =>
    join(root, `${name}.${end}`),
  )
  if (key === undefined || request === undefined || certificate === undefined || extensions === undefined)
    throw new Error('no paths')
  const openssl = (...words: string[]): void => {
    execFileSync('openssl', words, { env: { ...process.env, ...environment }, stdio: 'ignore' })
  }
  writeFileSync(extensions, 'subjectAltName=DNS:localhost\nextendedKeyUsage=serverAuth')
  openssl(
    'req',
    '-newkey',
    'ec',
    '-pkeyopt',
    'ec_paramgen_curve:P-256',
    '-nodes',
    '-keyout',
    key,
    '-out',
    request,
    '-subj',
    '/CN=localhost',
  )
  const signer = ['-CA', join(data, 'ca.pem'), '-CAkey', join(data, 'operator', 'ca-key.pem'), '-CAcreateserial']
  openssl('x509', '-req', '-in', request, '-out', certificate, '-extfile', extensions, '-days', '30', ...signer)
  return { certificate: readFileSync(certificate, 'utf8'), privateKey: readFileSync(key, 'utf8') }
}

function authority({ data }: Installation) {
  return {
    certificate: readFileSync(join(data, 'ca.pem'), 'utf8'),
    privateKey: readFileSync(join(data, 'operator', 'ca-key.pem'), 'utf8'),
  }
}

/** An answer to a JoinReq, as a join server might give it. */
export function joinAnswer(resultCode: string): string {
  const header = { ProtocolVersion: '1.0', MessageType: 'JoinAns', TransactionID: 1 }
  return JSON.stringify({ ...header, Result: { ResultCode: resultCode } })
}
