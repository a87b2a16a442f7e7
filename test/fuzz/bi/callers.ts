import { createSecureContext } from 'node:tls'
import { CallerConnections } from '../http/pool.ts'
import { type BiWorld, type Caller, CALLERS } from './world.ts'

const KEPT: Readonly<Record<Caller, number>> = {
  clear: 8,
  wrapped: 4,
  named: 2,
  second: 2,
  unwelcome: 1,
  disabled: 1,
  keyless: 1,
  other: 1,
  stranger: 1,
  nobody: 1,
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
    const callers = Object.keys(CALLERS) as Caller[]
    this.#connections = new Map(
      callers.map((caller) => {
        const own = world.certificates.get(caller)
        const identity = own === undefined ? {} : { cert: own.certificate, key: own.privateKey }
        // One for all connections: reading certificates and keys costs as much as the handshake.
        const secureContext = createSecureContext({ ca, ...identity })
        return [caller, new CallerConnections({ ...this.address, secureContext }, KEPT[caller])]
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
