import { createPrivateKey, X509Certificate } from 'node:crypto'
import {
  AnswerError,
  type BackendInterfacesClient,
  createClient,
  type HttpAnswer,
  type ProtocolVersion,
} from '@mortise/backend-interfaces'
import { readSecretFile } from '@mortise/hsm'
import { formatJoinEuiPrefix } from '@mortise/lorawan'
import { messageOf } from '../message-of.ts'
import type { Route } from '../storage/index.ts'

/** How long a partner that fails is not spoken of again. */
const SILENCE_MS = 60_000

export interface PartnerOptions {
  /** Of the private key of the certificate that is shown to the partner. */
  readonly keyFile: string
  /** For one exchange, connecting included. */
  readonly timeoutMs: number
  readonly log: (line: string) => void
}

/** The join server at the end of a route. Its connections are kept. */
export class Partner {
  readonly route: Route
  /** With its port. All routes to one host lead to one partner. */
  readonly host: string
  readonly #options: PartnerOptions
  #client: BackendInterfacesClient | undefined
  #toldAt = -Infinity

  /** A private key that cannot be used is told, and looked for again when it is needed. */
  constructor(route: Route, options: PartnerOptions) {
    this.route = route
    this.host = new URL(route.url).host
    this.#options = options
    try {
      this.#client = this.#connect()
    } catch (error) {
      this.failed(error)
    }
  }

  get protocolVersion(): ProtocolVersion {
    return this.route.protocol
  }

  /** Posts a request. @throws AnswerError connection or timeout */
  async ask(body: string | Uint8Array, headers: Readonly<Record<string, string>>): Promise<HttpAnswer> {
    return await this.#open().post(body, headers)
  }

  /** Tells the operator that the partner gave no usable answer; seldom, for every device of a partner comes again. */
  failed(error: unknown): void {
    const now = performance.now()
    if (now - this.#toldAt < SILENCE_MS) return
    this.#toldAt = now
    const { url, prefix } = this.route
    this.#options.log(
      `${url} gives no usable answer for JoinEUI ${formatJoinEuiPrefix(prefix)}: ${reasonOf(error)}; mortise_forwarded_total in ` +
        '/metrics says how often',
    )
  }

  /** Waits for what is under way. */
  async close(): Promise<void> {
    await this.#client?.close()
  }

  #open(): BackendInterfacesClient {
    try {
      return (this.#client ??= this.#connect())
    } catch (cause) {
      throw new AnswerError('connection', messageOf(cause), { cause })
    }
  }

  /** @throws SecretFileError, Error */
  #connect(): BackendInterfacesClient {
    const { url, certificatePem: cert, authorityPem: ca } = this.route
    const { keyFile, timeoutMs } = this.#options
    const key = readSecretFile(keyFile, 'add the route anew with the files of the partner').toString()
    if (!new X509Certificate(cert).checkPrivateKey(createPrivateKey(key)))
      throw new Error(`${keyFile} is not the key of the certificate of this route`)
    return createClient({ url, ca, cert, key, timeoutMs })
  }
}

/** With what undici or TLS says, which is beneath the words of the client. */
function reasonOf(error: unknown): string {
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause.message : undefined
  const message = messageOf(error)
  return cause === undefined || cause === message ? message : `${message} ${cause}`
}
