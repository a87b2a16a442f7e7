import type { Command } from 'commander'
import type { DevicePolicy, DeviceReference } from '@mortise/hsm'
import { type DevEui, type JoinEui, type NetId, parseJoinEui } from '@mortise/lorawan'
import type { DeviceView } from '@mortise/server'
import { type OpenAdministration, openAdministration } from '../administration.ts'
import { applicationServersOf, missingRecipients } from '../devices/recipients.ts'
import { CliError, usageError } from '../errors.ts'
import { asIdOption, devEuiOption, joinEuiOption, netIdOption } from '../identifiers.ts'
import { openOperator } from '../operator.ts'
import { examples, repeated, type ServerOptions, withServer } from '../options.ts'
import { OrderDesk, outcome } from '../orders.ts'
import { report, warn } from '../output.ts'
import { confirmDestruction } from '../terminal.ts'
import { findDevices } from './device-show.ts'

interface DeviceChangeOptions extends ServerOptions {
  readonly joinEui?: JoinEui
  readonly yes?: boolean
}

interface DeviceSetOptions extends DeviceChangeOptions {
  readonly as?: string[] | false
  readonly network?: NetId[] | false
}

function changing(command: Command): Command {
  return withServer(command)
    .argument('<eui>', 'DevEUI', devEuiOption)
    .option('--join-eui <eui>', 'JoinEUI, where a DevEUI is known under several', joinEuiOption)
    .option('--yes', 'do not ask')
}

export function registerDeviceSet(device: Command): void {
  const command = changing(device.command('set'))
    .description('say anew who may have the session keys of a device')
    .option(
      '--as <id>',
      'application server that may have the AppSKey, repeatable; `network`: the network itself',
      repeatedOrNone(asIdOption),
    )
    .option('--no-as', 'no application server')
    .option('--network <netid>', 'network that may activate the device, repeatable', repeatedOrNone(netIdOption))
    .option('--no-network', 'no network')
    .action(setDevice)
  command.addHelpText(
    'after',
    '\nA list that is given replaces the present one; a list that is not given stays as it is.',
  )
  examples(
    command,
    'mortise device set 0004a30b001c0530 --as door-app --network 000013 --network 600002',
    'mortise device set 0004a30b001c0530 --as door-app --no-network',
  )
}

/** The first value replaces commander's `--no-…` default, further ones are added. */
function repeatedOrNone<T>(parse: (text: string) => T): (text: string, before: T[] | boolean | undefined) => T[] {
  const collect = repeated(parse)
  return (text, before) => collect(text, Array.isArray(before) ? before : undefined)
}

async function setDevice(devEui: DevEui, options: DeviceSetOptions): Promise<void> {
  const policy = policyOf(options)
  const operator = openOperator(options)
  await using administration = await openAdministration(options)
  const found = await findDevice(administration, devEui, options.joinEui)
  const desk = new OrderDesk(administration, operator)
  const change = { action: 'device.set', ...referenceTo(found, devEui), ...policy } as const
  const missing = await missingRecipients(administration, policy)
  const order = await desk.submit([change])
  missing.forEach(warn)
  report(options, { ...order, deviceId: found.deviceId, devEui, ...policy }, () => {
    const lines = [`Device ${devEui} is changed. ${outcome(order, administration)}`]
    if (policy.networks?.length === 0) lines.push('No network may activate it.')
    return lines.join('\n')
  })
}

/** What is not said stays as the device's record says: the HSM takes it from there, not from the server. */
function policyOf({ as, network }: DeviceSetOptions): Partial<DevicePolicy> {
  if (as === undefined && network === undefined)
    throw usageError('say what to change: --as ID…, --no-as, --network NETID… or --no-network')
  return {
    ...(as !== undefined && applicationServersOf(as === false ? [] : as)),
    ...(network !== undefined && { networks: network === false ? [] : network }),
  }
}

/** The DevEUI as the operator typed it, not as the server says it: the HSM compares it with the record. */
function referenceTo(found: DeviceView, devEui: DevEui): DeviceReference {
  return { device: found.deviceId, devEui, joinEui: parseJoinEui(found.joinEui), replaces: found.recordVersion }
}

export function registerDeviceRemove(device: Command): void {
  const command = changing(device.command('remove'))
    .description('remove a device; its root keys cannot be used any more')
    .action(async (devEui: DevEui, options: DeviceChangeOptions) => {
      const operator = openOperator(options)
      await using administration = await openAdministration(options)
      const found = await findDevice(administration, devEui, options.joinEui)
      await confirmDestruction(options.yes, `Remove device ${devEui} (JoinEUI ${found.joinEui}) with its root keys?`)
      const desk = new OrderDesk(administration, operator)
      const change = { action: 'device.remove', ...referenceTo(found, devEui) } as const
      const order = await desk.submit([change])
      report(
        options,
        { ...order, deviceId: found.deviceId, devEui },
        () => `Device ${devEui} is removed. ${outcome(order, administration)}`,
      )
    })
  examples(command, 'mortise device remove 0004a30b001c0530')
}

/** @throws CliError device_unknown, device_ambiguous */
async function findDevice(
  administration: OpenAdministration,
  devEui: DevEui,
  joinEui: JoinEui | undefined,
): Promise<DeviceView> {
  const all = await findDevices(administration, devEui)
  const [device, other] = joinEui === undefined ? all : all.filter((candidate) => candidate.joinEui === joinEui)
  const known = all.map((candidate) => candidate.joinEui).join(', ')
  if (device === undefined)
    throw new CliError('device_unknown', `there is no device ${devEui} with this JoinEUI`, { hint: `known: ${known}` })
  if (other !== undefined)
    throw new CliError('device_ambiguous', `DevEUI ${devEui} is known under several JoinEUIs`, {
      hint: `name one with --join-eui: ${known}`,
    })
  return device
}
