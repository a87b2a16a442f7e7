import { rootCertificates } from 'node:tls'
import { type BackendInterfacesClient, createClient } from '@mortise/backend-interfaces'
import type { NetworkServer } from '../../identity/index.ts'

/** An answer that takes longer to deliver comes too late for the device. */
const TIMEOUT_MS = 3000

export interface PostAnswersOptions {
  /** PEM: what Mortise shows to its peers, as it is at the time. */
  readonly tls: () => { readonly cert: string; readonly key: string }
  /** PEM of the installation's CA; public authorities are trusted beside it. */
  readonly ca: string
}

/** Posts answers to the URLs of peers, over mutual TLS. */
export class PostAnswers implements AsyncDisposable {
  readonly #options: PostAnswersOptions
  /** By URL; one for each peer that takes its answers so. */
  readonly #clients = new Map<string, { readonly cert: string; readonly client: BackendInterfacesClient }>()

  constructor(options: PostAnswersOptions) {
    this.#options = options
  }

  /** @throws AnswerError when it did not arrive; Error when it was not taken */
  async post({ asyncUrl }: NetworkServer, body: string): Promise<void> {
    if (asyncUrl === undefined) throw new Error('the peer has no URL any more')
    const { status } = await this.#client(asyncUrl).post(body)
    if (status < 200 || status > 299) throw new Error(`HTTP ${status}`)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(Array.from(this.#clients.values(), ({ client }) => client.close()))
  }

  #client(url: string): BackendInterfacesClient {
    const { cert, key } = this.#options.tls()
    const known = this.#clients.get(url)
    if (known?.cert === cert) return known.client
    // The certificate has been renewed: what is under way goes on with the old one.
    void known?.client.close()
    const ca = [this.#options.ca, ...rootCertificates].join('\n')
    const client = createClient({ url, ca, cert, key, timeoutMs: TIMEOUT_MS })
    this.#clients.set(url, { cert, client })
    return client
  }
}
