import { randomBytes } from 'node:crypto'
import { type MacVersion, parseDevEui } from '@mortise/lorawan'
import type { Device } from '@mortise/simulator'
import type { Installation } from './installation.ts'
import { JOIN_EUI, loadDevice } from './parties.ts'

/** Devices with random keys, by what a test calls them, which are enrolled by one order. */
export class DeviceFile {
  readonly #devices = new Map<string, Device>()
  readonly #lines: string[] = []

  /** @param as AS-ID, or `network`; empty for none */
  add(name: string, macVersion: MacVersion, networks: readonly string[], as: string): void {
    const rootKeys = { appKey: randomBytes(16), ...(macVersion === '1.1.0' && { nwkKey: randomBytes(16) }) }
    const devEui = parseDevEui(randomBytes(8).toString('hex'))
    this.#devices.set(name, loadDevice(devEui, macVersion, rootKeys))
    const keys = Object.entries(rootKeys).map(([key, value]) => [key, value.toString('hex')] as const)
    const record = { devEui, joinEui: JOIN_EUI, macVersion, networks, ...(as !== '' && { as }) }
    this.#lines.push(JSON.stringify({ ...record, ...Object.fromEntries(keys) }))
  }

  get(name: string): Device {
    const device = this.#devices.get(name)
    if (device === undefined) throw new Error(name)
    return device
  }

  async enrol(installation: Installation): Promise<void> {
    await installation.mortise('device', 'add', '--file', installation.secret('devices', `${this.#lines.join('\n')}\n`))
  }
}
