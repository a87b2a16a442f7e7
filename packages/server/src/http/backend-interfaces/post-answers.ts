import { statSync, readFileSync } from 'node:fs'
import { rootCertificates } from 'node:tls'
import { type BackendInterfacesClient, createClient } from '@mortise/backend-interfaces'
import type { NetworkServer } from '../../identity/index.ts'

/** An answer that takes longer to deliver comes too late for the device. */
const TIMEOUT_MS = 3000

export interface PostAnswersOptions {
  /** PEM: what Mortise shows to its peers, as it is at the time. */
  readonly tls: () => { readonly cert: string; readonly key: string }
  /** File with the installation's CA, as it is at the time; public authorities are trusted beside it. */
  readonly caFile: string
}

/** A way to one peer, and what it was made of. */
interface Way {
  readonly madeOf: readonly [url: string, cert: string, caChangedAt: number]
  readonly client: BackendInterfacesClient
}

/** Posts answers to the URLs of peers, over mutual TLS. */
export class PostAnswers implements AsyncDisposable {
  readonly #options: PostAnswersOptions
  /** By peer, of those that take their answers so. */
  readonly #ways = new Map<string, Way>()

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
    const { tls, caFile } = this.#options
    const { cert, key } = tls()
    const madeOf = [url, cert, statSync(caFile).mtimeMs] as const
    const known = this.#ways.get(peer)
    if (known?.madeOf.every((part, index) => part === madeOf[index]) === true) return known.client
    // Its URL, our certificate or the CA has changed: what is under way goes on with the old one.
    void known?.client.close()
    const ca = [readFileSync(caFile, 'utf8'), ...rootCertificates].join('\n')
    const client = createClient({ url, ca, cert, key, timeoutMs: TIMEOUT_MS })
    this.#ways.set(peer, { madeOf, client })
    return client
  }
}
