import { messageOf } from '../message-of.ts'
import { MAX_PAGE_ROWS, type Route, type StoredOrder } from '../storage/index.ts'

export interface LeftKeysOptions {
  readonly storage: {
    listRoutes(): readonly Pick<Route, 'routeId'>[]
    listOrders(state: 'waiting', limit: number): readonly Pick<StoredOrder, 'text'>[]
  }
  /** Of the routes whose private keys lie there, 32 hex digits each. */
  readonly routeIds: () => readonly string[]
  readonly keyFile: (routeId: string) => string
  readonly log: (line: string) => void
}

/** As many as a line still shows. */
const MAX_NAMED = 5

/**
 * Tells of private keys that belong to no route and to no order that waits: a crash, or an order that was refused, left
 * them. They are not deleted, because the database may be an older copy, put there by mistake, which does not know the
 * routes that they are for.
 */
export function tellLeftKeys(options: LeftKeysOptions): void {
  const { keyFile, log } = options
  try {
    const left = findLeftKeys(options)
    if (left.length === 0) return
    const named = left.slice(0, MAX_NAMED).map(keyFile)
    const rest = left.length > named.length ? ` and ${left.length - named.length} more` : ''
    log(`private keys of no route: ${named.join(', ')}${rest}; delete them, unless this database is an older copy`)
  } catch (error) {
    log(`private keys of routes could not be looked through: ${messageOf(error)}`)
  }
}

function findLeftKeys({ storage, routeIds }: LeftKeysOptions): string[] {
  const ofRoutes = new Set(storage.listRoutes().map(({ routeId }) => routeId.toString('hex')))
  const others = routeIds().filter((routeId) => !ofRoutes.has(routeId))
  if (others.length === 0) return []
  const orders = storage.listOrders('waiting', MAX_PAGE_ROWS)
  return others.filter((routeId) => !orders.some(({ text }) => text.includes(routeId)))
}
