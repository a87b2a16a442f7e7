import type { Command } from 'commander'
import { type DevEui, hexToBytes } from '@mortise/lorawan'
import type { BridgeConfig } from '@mortise/bridge'
import { CliError, errorCode, messageOf } from '../errors.ts'
import { devEuiOption } from '../identifiers.ts'
import { isWrong } from '../kit/check.ts'
import { asPath, examples, integer, parsedBy } from '../options.ts'
import { report } from '../output.ts'

interface DownlinkOptions {
  readonly config: string
  readonly devEui: DevEui
  readonly fPort: number
  readonly hex: Uint8Array
  readonly confirmed?: boolean
  readonly json?: boolean
}

/** The most that LoRaWAN carries in any region. */
const MAX_PAYLOAD_BYTES = 242

const HINTS: Readonly<Record<string, string>> = {
  device_unknown: 'wait for an uplink of it to come through the bridge; is the DevEUI right?',
  downlink_refused: 'see `mortise bridge check --config …`; the device must have joined, and sent an uplink since',
  downlink_unknown: 'it may be queued: look into the queue of the network server before you send it again',
  downlink_unavailable: 'it was not queued: send it again later',
  queue_unusable:
    'run `mortise bridge run` on this configuration first; it learns the way to a device from its uplinks',
}

export function registerBridgeDownlink(bridge: Command): void {
  const command = bridge
    .command('downlink')
    .description('seal a payload, and have the network send it to a device; beside a bridge that runs, or not')
    .requiredOption('--config <file>', 'configuration of the bridge', asPath)
    .requiredOption('--dev-eui <eui>', 'DevEUI of the device', devEuiOption)
    .requiredOption('--f-port <n>', 'FPort, 1 to 223', integer(1, 223))
    .requiredOption(
      '--hex <data>',
      'payload in clear, hexadecimal',
      parsedBy(parsePayload, 'up to 242 bytes as hexadecimal digits'),
    )
    .option('--confirmed', 'the device is to acknowledge it')
    .option('--json', 'print JSON for programs')
    .action(downlink)
  examples(
    command,
    'mortise bridge downlink --config ./bridge/config.yaml --dev-eui 70b3d57ed0061a01 --f-port 15 --hex 0102',
    'mortise bridge downlink --config ./bridge/config.yaml --dev-eui 70b3d57ed0061a01 --f-port 15 --hex 01 --confirmed',
  )
}

function parsePayload(text: string): Uint8Array {
  const bytes = hexToBytes(text)
  if (bytes.length > MAX_PAYLOAD_BYTES) throw new RangeError('too long')
  return bytes
}

async function downlink({ config: path, devEui, fPort, hex, confirmed = false, json }: DownlinkOptions): Promise<void> {
  const { readBridgeConfig, sendDownlink, SILENT } = await import('@mortise/bridge')
  const config = await readBridgeConfig(path)
  using cleanup = new DisposableStack()
  cleanup.use(config.kekRing)
  requireWay(config)
  try {
    // What goes wrong is this command's own error: it needs no line in a log.
    await sendDownlink(config, { devEui, fPort, confirmed, payload: hex }, SILENT)
  } catch (error) {
    const code = errorCode(error) ?? 'unexpected'
    const hint = (await faultOfWay(config, code)) ?? HINTS[code]
    if (hint === undefined) throw error
    throw new CliError(code, messageOf(error), { hint, cause: error })
  }
  report({ ...(json !== undefined && { json }) }, { devEui, fPort, bytes: hex.length, confirmed }, () => {
    return `The network has queued ${hex.length} bytes for ${devEui}, FPort ${fPort}, encrypted.`
  })
}

/** @throws CliError downlink_refused, where the configuration names no way to the network */
function requireWay({ source: { kind, api, mqtt } }: BridgeConfig): void {
  if (api !== undefined || (kind === 'the-things-stack' && mqtt !== undefined)) return
  throw new CliError('downlink_refused', 'there is no way for downlinks: the configuration has no source.api', {
    hint: 'add source.api with url and tokenFile, as in the comment that `mortise bridge init` wrote',
  })
}

/** What is wrong with the way to the network, where the network did not take a downlink: a key, or a connection. */
async function faultOfWay(config: BridgeConfig, code: string): Promise<string | undefined> {
  if (code !== 'downlink_refused' && code !== 'downlink_unknown' && code !== 'downlink_unavailable') return undefined
  const { checkApi, checkSource } = await import('../bridge/check-connections.ts')
  const checks = await (config.source.api === undefined ? checkSource(config) : checkApi(config))
  const fault = checks.find(isWrong)
  return fault && `${fault.detail} ${fault.remedy ?? ''}`.trimEnd()
}
