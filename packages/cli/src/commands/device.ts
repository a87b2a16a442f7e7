import type { Command } from 'commander'
import { registerDeviceAdd } from './device-add.ts'
import { registerDeviceList, registerDeviceShow } from './device-show.ts'
import { registerDeviceRemove, registerDeviceSet } from './device-change.ts'
import { examples } from '../options.ts'

export function registerDevice(program: Command): void {
  const device = program.command('device').description('devices, and who may have their session keys')
  examples(device, 'mortise device add --help', 'mortise device show 0004a30b001c0530')
  registerDeviceAdd(device)
  registerDeviceList(device)
  registerDeviceShow(device)
  registerDeviceSet(device)
  registerDeviceRemove(device)
}
