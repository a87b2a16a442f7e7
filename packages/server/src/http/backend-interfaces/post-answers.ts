import { statSync, readFileSync } from 'node:fs'
import { rootCertificates, type SecureContext } from 'node:tls'
import { type BackendInterfacesClient, createClient, tlsContext } from '@mortise/backend-interfaces'
import type { NetworkServer } from '../../identity/index.ts'

/** An answer that takes longer to deliver comes too late for the device. */
const TIMEOUT_MS = 3000

export interface PostAnswersOptions {
  /** PEM: what Mortise shows to its peers, as it is at the time. */
  readonly tls: () => { readonly cert: string; readonly key: string }
  /** File with the installation's CA, as it is at the time; public authorities are trusted beside it. */
  readonly caFile: string
}

/** Whom we trust and what we show, the same towards every peer. */
interface Trust {
  readonly cert: string
  readonly caChangedAt: number
  readonly ca: string
  readonly secureContext: SecureContext
}

/** A way to one peer, and what it was made of. */
interface Way {
  readonly url: string
  readonly trust: Trust
  readonly client: BackendInterfacesClient
}

/** Posts answers to the URLs of peers, over mutual TLS. */
export class PostAnswers implements AsyncDisposable {
  readonly #options: PostAnswersOptions
  /** By peer, of those that take their answers so. */
  readonly #ways = new Map<string, Way>()
  #trust: Trust | undefined

  constructor(options: PostAnswersOptions) {
    this.#options = options
  }

  /** @throws AnswerError when it did not arrive; Error when it was not taken */
  async post({ peerId, asyncUrl }: NetworkServer, body: string): Promise<void> {
    if (asyncUrl === undefined) throw new Error('the peer has no URL any more')
    const { status } = await this.#client(peerId.toString('hex'), asyncUrl).post(body)
    if (status < 200 || status > 299) throw new Error(`HTTP ${status}`)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(Array.from(this.#ways.values(), ({ client }) => client.close()))
  }

  #client(peer: string, url: string): BackendInterfacesClient {
    const trust = this.#trustNow()
    const known = this.#ways.get(peer)
    if (known?.url === url && known.trust === trust) return known.client
    const { ca, secureContext } = trust
    const client = createClient({ url, ca, secureContext, timeoutMs: TIMEOUT_MS })
    this.#ways.set(peer, { url, trust, client })
    // Its URL, our certificate or the CA has changed: what is under way goes on with the old one. Closed only now, because
    // one that stayed on record would be closed again at the next attempt, which is an error.
    void known?.client.close()
    return client
  }

  #trustNow(): Trust {
    const { tls, caFile } = this.#options
    const { cert, key } = tls()
    const caChangedAt = statSync(caFile).mtimeMs
    if (this.#trust?.cert === cert && this.#trust.caChangedAt === caChangedAt) return this.#trust
    const ca = [readFileSync(caFile, 'utf8'), ...rootCertificates].join('\n')
    this.#trust = { cert, caChangedAt, ca, secureContext: tlsContext({ ca, cert, key }) }
    return this.#trust
  }
}
