import type { Command } from 'commander'
import type { DevEui, JoinEui, MacVersion, NetId } from '@mortise/lorawan'
import { openAdministration } from '../administration.ts'
import { addDevices, DEVICES_PER_ORDER, type NewDevice } from '../devices/add-devices.ts'
import { checkDeviceFile, type FileSummary, type NumberedEntry, readBatches } from '../devices/device-file.ts'
import { applicationServersOf, missingRecipients, NETWORK_ITSELF } from '../devices/recipients.ts'
import { readKeysFile } from '../devices/root-keys.ts'
import { CliError, describeFailure, usageError } from '../errors.ts'
import { asIdOption, devEuiOption, joinEuiOption, macVersionOption, netIdOption } from '../identifiers.ts'
import { openOperator } from '../operator.ts'
import { asPath, examples, repeated, type ServerOptions, withServer } from '../options.ts'
import { OrderDesk, outcome } from '../orders.ts'
import { counted, report, warn } from '../output.ts'

interface DeviceAddOptions extends ServerOptions {
  readonly file?: string
  readonly devEui?: DevEui
  readonly joinEui?: JoinEui
  readonly macVersion?: MacVersion
  readonly keysFile?: string
  readonly generate?: boolean
  readonly as?: string[]
  readonly network?: NetId[]
  readonly networkIsApplicationServer?: boolean
}

export function registerDeviceAdd(device: Command): void {
  const command = withServer(device.command('add'))
    .description('add a device, or a file of them')
    .option('--dev-eui <eui>', 'DevEUI, 16 hex digits', devEuiOption)
    .option('--join-eui <eui>', 'JoinEUI (AppEUI), 16 hex digits', joinEuiOption)
    .option('--mac-version <version>', 'LoRaWAN version of the device, such as 1.0.3 or 1.1', macVersionOption)
    .option('--keys-file <file>', '{"appKey": hex, "nwkKey": hex}; mode 0600 or stricter', asPath)
    .option('--generate', 'make the root keys inside the HSM, where they stay')
    .option(
      '--as <id>',
      'application server that may have the AppSKey, repeatable; `network`: the network itself',
      repeated(asIdOption),
    )
    .option('--network <netid>', 'network that may activate the device, repeatable', repeated(netIdOption))
    .option('--network-is-application-server', 'the same as --as network')
    .option('--file <file>', 'JSON lines: {devEui, joinEui, macVersion, appKey, nwkKey?, as, networks}', asPath)
    .action((options: DeviceAddOptions) =>
      options.file === undefined ? addOne(options) : addFile(options.file, options),
    )
  examples(
    command,
    'mortise device add --dev-eui 0004a30b001c0530 --join-eui 70b3d57ed0000001 --mac-version 1.0.3 \\',
    '    --keys-file ./keys.json --as door-app --network 000013',
    'mortise device add --dev-eui 0004a30b001c0531 --join-eui 70b3d57ed0000001 --mac-version 1.1 --generate',
    'mortise device add --file ./devices.jsonl',
  )
}

async function addOne(options: DeviceAddOptions): Promise<void> {
  const device = readDevice(options)
  const operator = openOperator(options)
  await using administration = await openAdministration(options)
  const missing = await missingRecipients(administration, device)
  const { report: order, deviceIds } = await addDevices(new OrderDesk(administration, operator), [device])
  missing.forEach(warn)
  const { devEui, joinEui, macVersion, applicationServers, networks } = device
  const facts = { ...order, deviceId: deviceIds[0], devEui, joinEui, macVersion, applicationServers, networks }
  report(options, { ...facts, keysDelivered: device.keys !== 'generate' }, () =>
    [
      `Device ${devEui} (LoRaWAN ${macVersion}) is added. ${outcome(order, administration)}`,
      ...policyNotes(device),
      ...(device.keys === 'generate'
        ? ['Its root keys were made inside the HSM and stay there: they are not delivered to the device yet.']
        : []),
    ].join('\n'),
  )
}

function readDevice(options: DeviceAddOptions): NewDevice {
  const { devEui, joinEui, macVersion, keysFile, generate = false } = options
  if (devEui === undefined || joinEui === undefined || macVersion === undefined)
    throw usageError('a device needs --dev-eui, --join-eui and --mac-version', 'or give --file with many devices')
  if ((keysFile === undefined) !== generate)
    throw usageError('give either --keys-file FILE or --generate', 'a key file: {"appKey": hex, "nwkKey": hex}')
  return {
    ...{ devEui, joinEui, macVersion },
    keys: keysFile === undefined ? 'generate' : readKeysFile(keysFile, macVersion),
    ...applicationServersOf([
      ...(options.as ?? []),
      ...(options.networkIsApplicationServer === true ? [NETWORK_ITSELF] : []),
    ]),
    networks: options.network ?? [],
  }
}

function policyNotes({ devEui, applicationServers, networks, networkIsApplicationServer }: NewDevice): string[] {
  return [
    ...(networks.length === 0
      ? [`No network may activate it yet: mortise device set ${devEui} --network NETID …`]
      : [`Networks that may activate it: ${networks.join(', ')}.`]),
    ...(applicationServers.length === 0
      ? ['No application server gets its AppSKey.']
      : [`Application servers that may have its AppSKey: ${applicationServers.join(', ')}.`]),
    ...(networkIsApplicationServer ? ['The network itself may read its payloads.'] : []),
  ]
}

interface FileProgress {
  adopted: number
  waiting: number
  readonly orders: number[]
  lastLine: number
}

async function addFile(path: string, options: DeviceAddOptions): Promise<void> {
  refuseSingleOptions(options)
  const summary = await checkDeviceFile(path)
  const operator = openOperator(options)
  await using administration = await openAdministration(options)
  const desk = new OrderDesk(administration, operator)
  const progress: FileProgress = { adopted: 0, waiting: 0, orders: [], lastLine: 0 }
  for await (const batch of readBatches(path, DEVICES_PER_ORDER)) {
    await addBatch(path, desk, batch, progress)
    showProgress(progress.adopted + progress.waiting, summary.devices)
  }
  const { adopted, waiting, orders } = progress
  report(options, { ...summary, adopted, waiting, orders }, () =>
    describe(path, summary, progress, administration.online),
  )
}

function refuseSingleOptions(options: DeviceAddOptions): void {
  const { devEui, joinEui, macVersion, keysFile, generate, as, network, networkIsApplicationServer } = options
  const single = [devEui, joinEui, macVersion, keysFile, generate, as, network, networkIsApplicationServer]
  if (single.some((option) => option !== undefined))
    throw usageError('--file brings everything about its devices: give no other option of a device with it')
}

async function addBatch(
  path: string,
  desk: OrderDesk,
  batch: readonly NumberedEntry[],
  progress: FileProgress,
): Promise<void> {
  const devices = batch.map(({ entry }): NewDevice => entry)
  try {
    const { report: order } = await addDevices(desk, devices)
    progress[order.state] += devices.length
    progress.orders.push(order.orderId)
    progress.lastLine = batch.at(-1)?.line ?? 0
  } catch (error) {
    throw stoppedAt(path, batch, progress, error)
  }
}

/** An order is carried out whole or not at all: says which lines are in, and which order was refused. */
function stoppedAt(
  path: string,
  batch: readonly NumberedEntry[],
  { adopted, waiting, lastLine }: FileProgress,
  error: unknown,
): CliError {
  const { code, message, hint } = describeFailure(error)
  const added = adopted + waiting
  const from = batch[0]?.line ?? 0
  const to = batch.at(-1)?.line ?? 0
  const before = added === 0 ? 'no device was added' : `${counted(added, 'device')} up to line ${lastLine} were added`
  const rest =
    added === 0 ? undefined : `go on with the rest: tail -n +${lastLine + 1} ${path}, into a file of mode 0600`
  const hints = [hint, rest].filter((line) => line !== undefined).join('; ')
  return new CliError(code, `${path}: lines ${from} to ${to} were refused together: ${message}; ${before}`, {
    ...(hints !== '' && { hint: hints }),
    facts: { adopted, waiting, refused: { from, to } },
    cause: error,
  })
}

function showProgress(done: number, all: number): void {
  if (!process.stderr.isTTY) return
  process.stderr.write(`\r${done} of ${counted(all, 'device')}${done === all ? '\n' : ''}`)
}

function describe(
  path: string,
  summary: FileSummary,
  { adopted, waiting, orders }: FileProgress,
  online: boolean,
): string {
  return [
    `${counted(summary.devices, 'device')} of ${path} in ${counted(orders.length, 'order')}: ${adopted} in effect, ${waiting} waiting.`,
    ...(waiting > 0
      ? [
          `What waits takes effect ${online ? 'as soon as the HSM is ready' : 'when the server next starts with its HSM unsealed'}.`,
        ]
      : []),
    ...(summary.withoutNetwork > 0 ? [`${summary.withoutNetwork} without a network: none may activate them yet.`] : []),
    ...(summary.withoutApplicationServer > 0
      ? [`${summary.withoutApplicationServer} without an application server: nobody gets their AppSKey.`]
      : []),
  ].join('\n')
}
