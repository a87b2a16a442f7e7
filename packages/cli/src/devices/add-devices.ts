import { randomBytes } from 'node:crypto'
import { type Change, DEVICE_ID_BYTES, type RootKeySource } from '@mortise/hsm'
import { is11 } from '@mortise/lorawan'
import type { OrderReport } from '@mortise/server'
import type { OrderDesk } from '../orders.ts'
import type { DeviceEntry } from './device-line.ts'

/** A device to add, whose root keys are at hand or are to be made inside the HSM. */
export interface NewDevice extends Omit<DeviceEntry, 'keys'> {
  readonly keys: DeviceEntry['keys'] | 'generate'
  readonly networkIsApplicationServer: boolean
}

/** What one order carries: its text and envelope stay well below their limits, and the HSM is not held up for long. */
export const DEVICES_PER_ORDER = 200

/**
 * Adds devices with one order, whole or not at all. The keys are overwritten when they are sealed.
 * @throws what the administration throws
 */
export async function addDevices(
  desk: OrderDesk,
  devices: readonly NewDevice[],
): Promise<{ report: OrderReport; deviceIds: string[] }> {
  const keys: Uint8Array[] = []
  const place = (key: Uint8Array): RootKeySource => keys.push(key) - 1
  const deviceIds = devices.map(() => randomBytes(DEVICE_ID_BYTES).toString('hex'))
  const changes = devices.map((device, index): Change => {
    const { devEui, joinEui, macVersion, applicationServers, networkIsApplicationServer, networks } = device
    return {
      action: 'device.add',
      device: deviceIds[index] ?? '',
      owner: desk.owner,
      ...{ devEui, joinEui, macVersion, applicationServers, networkIsApplicationServer, networks },
      ...keySources(device, place),
    }
  })
  try {
    return { report: await desk.submit(changes, { keys }), deviceIds }
  } finally {
    for (const key of keys) key.fill(0)
  }
}

function keySources(
  { keys, macVersion }: NewDevice,
  place: (key: Uint8Array) => RootKeySource,
): { appKey: RootKeySource; nwkKey?: RootKeySource } {
  if (keys === 'generate') return { appKey: 'generate', ...(is11(macVersion) && { nwkKey: 'generate' as const }) }
  const { appKey, nwkKey } = keys
  return { appKey: place(appKey), ...(nwkKey !== undefined && { nwkKey: place(nwkKey) }) }
}
