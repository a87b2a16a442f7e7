import { createSecureContext } from 'node:tls'
import { CallerConnections } from '../http/pool.ts'
import { type Caller, CALLERS } from './peers.ts'
import type { BiWorld } from './world.ts'

/** How many connections each keeps; others one. */
const KEPT: Partial<Readonly<Record<Caller, number>>> = {
  ...{ clear: 8, wrapped: 4, version11: 2, chirpStack4: 2, chirpStack3: 2 },
  ...{ theThingsStack: 2, helium: 2, asynchronous: 2, named: 2, second: 2 },
}

/** Everybody's connections to the listener. */
export class Callers {
  /** Of the listener. */
  readonly address: { readonly host: string; readonly port: number }
  readonly #connections: ReadonlyMap<Caller, CallerConnections>

  constructor(world: BiWorld) {
    const { hostname: host, port } = new URL(world.server.biUrl)
    this.address = { host, port: Number(port) }
    const ca = world.ca
    this.#connections = new Map(
      CALLERS.map((caller) => {
        const own = world.certificates.get(caller)
        const identity = own === undefined ? {} : { cert: own.certificate, key: own.privateKey }
        // One for all connections: reading certificates and keys costs as much as the handshake.
        const secureContext = createSecureContext({ ca, ...identity })
        return [caller, new CallerConnections({ ...this.address, secureContext }, KEPT[caller] ?? 1)]
      }),
    )
  }

  of(caller: Caller): CallerConnections {
    const connections = this.#connections.get(caller)
    if (connections === undefined) throw new RangeError(`no caller ${caller}`)
    return connections
  }

  /** What was wrong on the connections that are kept. */
  get complaints(): string[] {
    return [...this.#connections.values()].flatMap(({ complaints }) => complaints)
  }

  async close(): Promise<void> {
    for (const connections of this.#connections.values()) await connections.close()
  }
}
