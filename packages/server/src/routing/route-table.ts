import { rmSync } from 'node:fs'
import { type JoinEui, JoinEuiIndex } from '@mortise/lorawan'
import { messageOf } from '../message-of.ts'
import type { AdministrationReader, AdoptedChange, Route } from '../storage/index.ts'
import { FORWARDING_LIMITS, type ForwardingLimits } from './limits.ts'
import { Partner } from './partner.ts'

export interface RouteTableOptions {
  readonly storage: Pick<AdministrationReader, 'listRoutes'>
  /** Where the private key of a route lies; its id is 32 hex digits. */
  readonly keyFile: (routeId: string) => string
  readonly limits?: ForwardingLimits
  readonly log: (line: string) => void
}

/** Which join server is asked for which JoinEUI. Kept in memory; read again after every order that changed a route. */
export class RouteTable implements AsyncDisposable {
  readonly #options: RouteTableOptions
  #partners: ReadonlyMap<string, Partner> = new Map()
  #byPrefix = new JoinEuiIndex<Partner>([])

  constructor(options: RouteTableOptions) {
    this.#options = options
    this.reload()
  }

  /**
   * What is under way on a route that was removed goes on; its private key is deleted. What cannot be read leads nowhere:
   * it may have been removed. @throws StorageError
   */
  reload(): void {
    this.#byPrefix = new JoinEuiIndex([])
    const before = this.#partners
    const routes = this.#options.storage.listRoutes()
    this.#partners = new Map(routes.map((route) => [idOf(route), before.get(idOf(route)) ?? this.#connect(route)]))
    this.#byPrefix = new JoinEuiIndex(Array.from(this.#partners.values(), (partner) => [partner.route.prefix, partner]))
    for (const [id, partner] of before) if (!this.#partners.has(id)) this.#forget(id, partner)
  }

  /** The partner with the longest prefix. */
  find(joinEui: JoinEui): Partner | undefined {
    return this.#byPrefix.find(joinEui)
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
    partner.close().catch((error: unknown) => {
      log(`connections to ${partner.route.url}, whose route was removed, could not be closed: ${messageOf(error)}`)
    })
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
