import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { HttpAdministration, openOperator, OrderDesk } from '@mortise/cli'
import { readSecretLine } from '@mortise/hsm'
import type { NetId } from '@mortise/lorawan'
import { AdministrationError, dataDirectory } from '@mortise/server'
import { AS_ID } from '../support/parties.ts'
import type { FleetDevice } from './fleet.ts'
import type { Random } from './random.ts'
import type { Service } from './service.ts'

export interface OrdersOptions {
  readonly service: Service
  readonly fleet: readonly FleetDevice[]
  /** The networks of every device; orders take a further one in and out. */
  readonly networks: readonly NetId[]
  readonly furtherNetwork: NetId
  /** Where the KEK of a `kek.set` is put before the order leaves. */
  readonly keks: Map<string, Uint8Array>
  readonly random: Random
}

/** Operators at work while processes die: signed orders that change devices under load, and new KEKs. */
export class Orders {
  readonly #options: OrdersOptions
  /** Ids of the orders that the server said it had. */
  readonly acknowledged: number[] = []
  /** How many orders were refused at once, by code. */
  readonly refused = new Map<string, number>()
  submitted = 0
  #busy = false
  #all: Promise<unknown> = Promise.resolve()
  #keks = 0

  constructor(options: OrdersOptions) {
    this.#options = options
  }

  /** Begins to submit an order unless one is under way. Resolves when the order leaves, or does not come to that. */
  async begin(): Promise<void> {
    if (this.#busy) return
    this.#busy = true
    const leaving = Promise.withResolvers<undefined>()
    const submitted = this.#submit(() => {
      leaving.resolve(undefined)
    }).finally(() => {
      this.#busy = false
      leaving.resolve(undefined)
    })
    this.#all = Promise.all([this.#all, submitted])
    // Whoever waits for the end sees a failure of the harness itself.
    this.#all.catch(() => undefined)
    await leaving.promise
  }

  /** Resolves when no order is under way. */
  async done(): Promise<void> {
    await this.#all
  }

  /** How many orders still wait; `undefined` when the server does not say. */
  async waiting(): Promise<number | undefined> {
    await using administration = await this.#connect()
    try {
      return (await administration.status()).waitingOrders
    } catch {
      return undefined
    }
  }

  async #submit(leaving: () => void): Promise<void> {
    await using administration = await this.#connect()
    const submitting: Pick<HttpAdministration, 'status' | 'submitOrder'> = {
      status: () => administration.status(),
      submitOrder: (order) => {
        leaving()
        return administration.submitOrder(order)
      },
    }
    const desk = new OrderDesk(submitting, openOperator({ data: this.#options.service.installation.data }))
    try {
      const { orderId } = await (this.#options.random.chance(0.2)
        ? this.#setKek(desk)
        : this.#setDevice(desk, administration))
      this.acknowledged.push(orderId)
    } catch (error) {
      if (error instanceof AdministrationError) this.refused.set(error.code, (this.refused.get(error.code) ?? 0) + 1)
      else if (!isUnreachable(error)) throw error
      // The server was killed: the order may have been stored or not.
    }
  }

  async #setDevice(desk: OrderDesk, administration: HttpAdministration): ReturnType<OrderDesk['submit']> {
    const { fleet, networks, furtherNetwork, random } = this.#options
    const { identity } = random.pick(fleet) ?? raise('no device')
    const [found = raise('the device is not there')] = await administration.findDevices(identity.devEui)
    const more = found.networks.length > networks.length ? networks : [...networks, furtherNetwork]
    const { devEui, joinEui } = identity
    const reference = { device: found.deviceId, devEui, joinEui, replaces: found.recordVersion }
    this.submitted += 1
    return desk.submit([{ action: 'device.set', ...reference, networks: more }])
  }

  #setKek(desk: OrderDesk): ReturnType<OrderDesk['submit']> {
    const key = randomBytes(16)
    const label = `owner-later-${++this.#keks}`
    this.#options.keks.set(label, key)
    const recipient = { kind: 'as', recipient: AS_ID, owner: desk.owner } as const
    const change = { action: 'kek.set', kek: randomBytes(16).toString('hex'), label, size: 16, key: 0 } as const
    this.submitted += 1
    return desk.submit([{ ...change, ...recipient }], { keys: [key] })
  }

  async #connect(): Promise<HttpAdministration> {
    const { service } = this.#options
    const { operator, caCertificate } = dataDirectory(service.installation.data)
    const { apiUrl } = await service.listening()
    return new HttpAdministration({
      url: apiUrl,
      ca: readFileSync(caCertificate, 'utf8'),
      apiKey: () => readSecretLine(operator.apiKey, '').toString(),
      serverName: 'localhost',
    })
  }
}

function isUnreachable(error: unknown): boolean {
  const code = error instanceof Error && 'code' in error ? error.code : undefined
  return code === 'server_unreachable' || code === 'order_outcome_unknown'
}

function raise(message: string): never {
  throw new RangeError(message)
}
