import { bytesToHex, type DevEui } from '@mortise/lorawan'
import type { UplinkEvent } from '@mortise/application-server'
import { Fifo } from './fifo.ts'

/** Uplinks of a device of which the network tells the same: what opens one opens all of them. */
export interface PutOffGroup {
  readonly name: string
  readonly devEui: DevEui
  readonly waiting: Fifo
  dueAtMs: number
}

/** Names what a network tells of an uplink's session. */
export function groupOf({ devEui, devAddr, sessionKeyId, appSKey }: UplinkEvent): string {
  const id = sessionKeyId === undefined ? '' : bytesToHex(sessionKeyId)
  const key = appSKey === undefined ? '' : `${JSON.stringify(appSKey.kekLabel)} ${bytesToHex(appSKey.aesKey)}`
  return `${devEui} ${devAddr} ${id} ${key}`
}

/** Uplinks whose session or key is not known yet, by number. They wait on disk; here is when to try them again. */
export class PutOff {
  // In the order of their time, because each is put off for as long as every other.
  readonly #groups = new Map<string, PutOffGroup>()
  readonly #ofDevice = new Map<DevEui, Set<string>>()
  #size = 0

  /** How many uplinks wait. */
  get size(): number {
    return this.#size
  }

  has(name: string): boolean {
    return this.#groups.has(name)
  }

  add(name: string, devEui: DevEui, seq: number, dueAtMs: number): void {
    let group = this.#groups.get(name)
    if (group === undefined) {
      group = { name, devEui, waiting: new Fifo(), dueAtMs }
      this.#groups.set(name, group)
      const names = this.#ofDevice.get(devEui) ?? new Set()
      this.#ofDevice.set(devEui, names.add(name))
    }
    group.waiting.push(seq)
    this.#size++
  }

  /** The device's groups, the one that waits longest first. */
  ofDevice(devEui: DevEui): PutOffGroup[] {
    return Array.from(this.#ofDevice.get(devEui) ?? []).flatMap((name) => this.#groups.get(name) ?? [])
  }

  /** Devices with uplinks that are due; each is put off once more, so that it is not named again before. */
  due(nowMs: number, nextMs: number): DevEui[] {
    const devices: DevEui[] = []
    for (const group of this.#groups.values()) {
      if (group.dueAtMs > nowMs) break
      devices.push(group.devEui)
    }
    for (const devEui of devices) for (const group of this.ofDevice(devEui)) this.#later(group, nextMs)
    return [...new Set(devices)]
  }

  /** The first of a group is done with. */
  shift(group: PutOffGroup): void {
    if (group.waiting.shift() === undefined) return
    this.#size--
    if (group.waiting.size > 0) return
    this.#groups.delete(group.name)
    const names = this.#ofDevice.get(group.devEui)
    names?.delete(group.name)
    if (names?.size === 0) this.#ofDevice.delete(group.devEui)
  }

  #later(group: PutOffGroup, dueAtMs: number): void {
    group.dueAtMs = dueAtMs
    this.#groups.delete(group.name)
    this.#groups.set(group.name, group)
  }
}
