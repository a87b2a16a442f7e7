import { randomBytes } from 'node:crypto'
import type { AppliedOrder, ApplyOrderCommand } from '../../src/contract/order.ts'
import type { JoinCommand } from '../../src/contract/join.ts'
import type { KekRemove, KekSet } from '../../src/orders/order.ts'
import type { PeerChange } from '../../src/orders/peer-changes.ts'
import type { KekKind, KekSize } from '../../src/records/kek-record.ts'
import { type JoinParameters, NET_ID, PARAMETERS, TestDevice } from './device.ts'
import { newId, type Operator } from './operator.ts'

/** A KEK that the operator brought in, and its value. */
export interface TestKek {
  readonly id: string
  readonly value: Buffer
  readonly record: Buffer
  /** The change that removes it. */
  readonly remove: KekRemove
}

/** A device that the operator enrolled. */
export interface Enrolled {
  readonly device: TestDevice
  readonly record: Buffer
}

export const AS_ID = 'door-sensors'

/** A change that needs neither key nor record. */
export function plainChange(): PeerChange {
  return { action: 'peer.disable', peer: newId(), kind: 'as', id: AS_ID }
}

type Apply = (command: ApplyOrderCommand) => Promise<AppliedOrder>

/** The operator's work, over whatever carries orders out. */
export class Scene {
  readonly owner = newId()
  readonly operator: Operator
  readonly #apply: Apply
  #labels = 0

  constructor(operator: Operator, apply: Apply) {
    this.operator = operator
    this.#apply = apply
  }

  async enrol(
    macVersion: TestDevice['macVersion'],
    policy: Parameters<TestDevice['add']>[1] = { applicationServers: [AS_ID] },
  ): Promise<Enrolled> {
    const device = new TestDevice(macVersion)
    const [record] = await this.#records(this.operator.order([device.add(this.owner, policy)], device.keys))
    return { device, record: present(record) }
  }

  async kek(kind: KekKind, recipient: string, size: KekSize = 16, owner = this.owner): Promise<TestKek> {
    const value = randomBytes(size)
    const change = this.kekSet(kind, recipient, size, owner)
    const [record] = await this.#records(this.operator.order([change], [value]))
    const { kek: id, label } = change
    const remove: KekRemove = { action: 'kek.remove', kek: id, kind, recipient, label, replaces: 1 }
    return { id, value, record: present(record), remove }
  }

  kekSet(kind: KekKind, recipient: string, size: KekSize = 16, owner = this.owner): KekSet {
    const label = `kek-${++this.#labels}`
    return { action: 'kek.set', kek: newId(), kind, recipient, owner, label, size, key: 0 }
  }

  async #records(command: ApplyOrderCommand): Promise<Buffer[]> {
    const { changes } = await this.#apply(command)
    return changes.flatMap(({ record }) => (record === undefined ? [] : [record]))
  }
}

/** What an honest server sends for a join. */
export function joinCommand(
  { device, record }: Enrolled,
  devNonce: number,
  keks: { ns?: TestKek | undefined; as?: TestKek | undefined } = {},
  parameters: Partial<JoinParameters> = {},
): JoinCommand {
  return {
    ...PARAMETERS,
    ...parameters,
    deviceRecord: record,
    phyPayload: device.joinRequest(devNonce),
    nsKekRecord: keks.ns?.record,
    asKekRecord: keks.as?.record,
    appSKeyToNetwork: 'no',
  }
}

export { NET_ID }

function present<Value>(value: Value | undefined): Value {
  if (value === undefined) throw new Error('the order made no record')
  return value
}
