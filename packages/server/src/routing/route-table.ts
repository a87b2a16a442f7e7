import { rmSync } from 'node:fs'
import type { JoinEui } from '@mortise/lorawan'
import type { AdministrationReader, AdoptedChange, Route } from '../storage/index.ts'
import { FORWARDING_LIMITS, type ForwardingLimits } from './limits.ts'
import { Partner } from './partner.ts'

const EUI64_BITS = 64

export interface RouteTableOptions {
  readonly storage: Pick<AdministrationReader, 'listRoutes'>
  /** Where the private key of a route lies; its id is 32 hex digits. */
  readonly keyFile: (routeId: string) => string
  readonly limits?: ForwardingLimits
  readonly log: (line: string) => void
}

/** Partners by the bits of their prefix, which are as many for all in one. */
interface OfOneLength {
  /** Bits behind the prefix. */
  readonly rest: bigint
  readonly partners: ReadonlyMap<bigint, Partner>
}

/** Which join server is asked for which JoinEUI. Kept in memory; read again after every order that changed a route. */
export class RouteTable implements AsyncDisposable {
  readonly #options: RouteTableOptions
  #partners: ReadonlyMap<string, Partner> = new Map()
  /** Longest prefixes first. */
  #lengths: readonly OfOneLength[] = []

  constructor(options: RouteTableOptions) {
    this.#options = options
    this.reload()
  }

  /** What is under way on a route that was removed goes on; its private key is deleted. */
  reload(): void {
    const before = this.#partners
    const routes = this.#options.storage.listRoutes()
    this.#partners = new Map(routes.map((route) => [idOf(route), before.get(idOf(route)) ?? this.#connect(route)]))
    this.#lengths = byLength([...this.#partners.values()])
    for (const [id, partner] of before) if (!this.#partners.has(id)) this.#forget(id, partner)
  }

  /** The partner with the longest prefix. */
  find(joinEui: JoinEui): Partner | undefined {
    if (this.#lengths.length === 0) return undefined
    const number = BigInt(`0x${joinEui}`)
    for (const { rest, partners } of this.#lengths) {
      const partner = partners.get(number >> rest)
      if (partner !== undefined) return partner
    }
    return undefined
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(Array.from(this.#partners.values(), (partner) => partner.close()))
  }

  #connect(route: Route): Partner {
    const { keyFile, limits = FORWARDING_LIMITS, log } = this.#options
    return new Partner(route, { keyFile: keyFile(idOf(route)), timeoutMs: limits.timeoutMs, log })
  }

  #forget(routeId: string, partner: Partner): void {
    const { keyFile, log } = this.#options
    partner.close().catch(() => undefined)
    try {
      rmSync(keyFile(routeId), { force: true })
    } catch {
      log(`the private key ${keyFile(routeId)} of a route that was removed could not be deleted: delete it`)
    }
  }
}

/** Whether routes have to be read again. */
export function changesRoutes({ kind }: AdoptedChange): boolean {
  return kind === 'route-added' || kind === 'route-removed'
}

function idOf({ routeId }: Route): string {
  return routeId.toString('hex')
}

function byLength(partners: readonly Partner[]): OfOneLength[] {
  const lengths = Map.groupBy(partners, ({ route }) => route.prefix.bits)
  return Array.from(lengths)
    .sort(([a], [b]) => b - a)
    .map(([bits, ofOne]) => {
      const rest = BigInt(EUI64_BITS - bits)
      return { rest, partners: new Map(ofOne.map((one) => [BigInt(`0x${one.route.prefix.joinEui}`) >> rest, one])) }
    })
}
