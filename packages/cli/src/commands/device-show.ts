import type { Command } from 'commander'
import type { DevEui } from '@mortise/lorawan'
import type { Administration, DeviceView, SessionView } from '@mortise/server'
import { openAdministration } from '../administration.ts'
import { describeNonces } from '../describe-nonces.ts'
import { CliError } from '../errors.ts'
import { devEuiOption } from '../identifiers.ts'
import { examples, integer, type ServerOptions, withServer } from '../options.ts'
import { counted, report, table } from '../output.ts'

interface ListOptions extends ServerOptions {
  readonly after?: string
  readonly limit: number
}

const MAX_LIST = 1000

export function registerDeviceList(device: Command): void {
  const command = withServer(device.command('list'))
    .description('list devices')
    .option('--limit <n>', `at most so many, up to ${MAX_LIST}`, integer(1, MAX_LIST), MAX_LIST)
    .option('--after <id>', 'go on after the device id that ended the list before')
    .action(async (options: ListOptions) => {
      await using administration = await openAdministration(options)
      const { limit, after } = options
      const page = await administration.listDevices({ limit, ...(after !== undefined && { after }) })
      report(options, page, () => describeList(page.devices, page.next))
    })
  examples(command, 'mortise device list', 'mortise device list --limit 100 --json')
}

export function registerDeviceShow(device: Command): void {
  const command = withServer(device.command('show'))
    .description('show a device: state, nonces, sessions; never a key')
    .argument('<eui>', 'DevEUI', devEuiOption)
    .action(async (devEui: DevEui, options: ServerOptions) => {
      await using administration = await openAdministration(options)
      const devices = await findDevices(administration, devEui)
      report(options, devices.length === 1 ? devices[0] : devices, () => devices.map(describe).join('\n\n'))
    })
  examples(command, 'mortise device show 0004a30b001c0530', 'mortise device show 0004a30b001c0530 --json')
}

/** @throws CliError device_unknown */
export async function findDevices(
  administration: Pick<Administration, 'findDevices' | 'status'>,
  devEui: DevEui,
): Promise<DeviceView[]> {
  const devices = await administration.findDevices(devEui)
  if (devices.length > 0) return devices
  const { waitingOrders } = await administration.status()
  const waiting = `${counted(waitingOrders, 'order')} waiting: a device of theirs appears when the server next starts`
  throw new CliError('device_unknown', `there is no device ${devEui}`, {
    hint: waitingOrders > 0 ? waiting : 'see `mortise device list`',
    facts: { waitingOrders },
  })
}

function describeList(devices: readonly DeviceView[], next: string | undefined): string {
  if (devices.length === 0) return 'There is no device yet: see `mortise device add --help`.'
  const rows = devices.map(({ devEui, joinEui, macVersion, networks, applicationServers, lastJoin }) => [
    devEui,
    joinEui,
    macVersion,
    networks.join(',') || '-',
    applicationServers.join(',') || '-',
    lastJoin?.at ?? 'never',
  ])
  const list = table(['DEVEUI', 'JOINEUI', 'VERSION', 'NETWORKS', 'APPLICATION SERVERS', 'LAST JOIN'], rows)
  return next === undefined ? list : `${list}\nMore: mortise device list --after ${next}`
}

function describe(device: DeviceView): string {
  const { applicationServers, networks, networkIsApplicationServer, lastJoin, sessions } = device
  return [
    `Device ${device.devEui}, LoRaWAN ${device.macVersion}`,
    `  JoinEUI              ${device.joinEui}`,
    `  device id            ${device.deviceId}`,
    `  added                ${device.createdAt}`,
    `  root keys            generation ${device.keyGeneration}, ${device.keysDelivered ? 'delivered' : 'made in the HSM, not delivered'}`,
    `  record version       ${device.recordVersion}`,
    `  networks             ${networks.join(', ') || 'none: no network may activate it yet'}`,
    `  application servers  ${applicationServers.join(', ') || 'none'}`,
    ...(networkIsApplicationServer ? ['                       the network itself may read its payloads'] : []),
    ...describeNonces(device).map(([name, text]) => `  ${name.padEnd(20)} ${text}`),
    `  last join            ${lastJoin === undefined ? 'never' : describeSession(lastJoin)}`,
    ...(sessions.length > 0 ? ['  sessions', ...sessions.map((session) => `    ${describeSession(session)}`)] : []),
  ].join('\n')
}

function describeSession({ at, netId, devAddr, sessionKeyId }: SessionView): string {
  return `${at}, network ${netId}, DevAddr ${devAddr}, SessionKeyID ${sessionKeyId}`
}
