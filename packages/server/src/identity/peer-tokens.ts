import type { PeerToken } from '../storage/index.ts'
import type { AuthenticatedPeer, PeerRefusal } from './authenticated-peer.ts'
import { hashSecret } from './tokens.ts'

/** What comes of showing a token of a peer. */
interface Owner {
  readonly tokens: readonly PeerToken[]
  readonly outcome: AuthenticatedPeer | PeerRefusal
}

/** Who a header of a request belongs to, for peers that can show no certificate. */
export class PeerTokens {
  /** By the digest of the header's value, hex. */
  readonly #owners: ReadonlyMap<string, { readonly header: string; readonly owner: Owner }>
  /** Headers that some peer uses, in lower case; no other is looked at. */
  readonly #headers: ReadonlySet<string>

  constructor(owners: readonly Owner[]) {
    const tokens = owners.flatMap((owner) => owner.tokens.map(({ digest, header }) => ({ digest, header, owner })))
    this.#owners = new Map(tokens.map(({ digest, ...found }) => [digest, found]))
    this.#headers = new Set(tokens.map(({ header }) => header))
  }

  /**
   * The peer with a token among these headers, which are name and value in turn. Nobody where such a header comes twice,
   * or two are of different peers: whatever reads one of them in between would take somebody else for the caller.
   */
  authenticate(headers: readonly string[]): AuthenticatedPeer | PeerRefusal {
    if (this.#headers.size === 0) return 'unknown'
    const seen = new Set<string>()
    let caller: Owner | undefined
    for (let i = 0; i + 1 < headers.length; i += 2) {
      const name = headers[i]?.toLowerCase() ?? ''
      if (!this.#headers.has(name)) continue
      if (seen.has(name)) return 'unknown'
      seen.add(name)
      const owner = this.#ownerOf(name, headers[i + 1] ?? '')
      if (owner === undefined) continue
      if (caller !== undefined && caller !== owner) return 'unknown'
      caller = owner
    }
    return caller?.outcome ?? 'unknown'
  }

  /**
   * How long the look-up takes tells nothing of a token: it compares SHA-256 of 256 random bits, and what a guess hashes to
   * says nothing of what a better one would.
   */
  #ownerOf(header: string, value: string): Owner | undefined {
    const found = this.#owners.get(hashSecret(value).toString('hex'))
    return found?.header === header ? found.owner : undefined
  }
}
