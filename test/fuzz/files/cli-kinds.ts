import { createHash, createPublicKey } from 'node:crypto'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { readSecretLine } from '@mortise/hsm'
import { readKek } from '../../../packages/cli/src/commands/kek.ts'
import { readConfigFile } from '../../../packages/cli/src/config-file.ts'
import { checkDeviceFile, readBatches } from '../../../packages/cli/src/devices/device-file.ts'
import { type DeviceEntry, parseDeviceLine } from '../../../packages/cli/src/devices/device-line.ts'
import { readKeysFile, type RootKeys } from '../../../packages/cli/src/devices/root-keys.ts'
import { openOperator } from '../../../packages/cli/src/operator.ts'
import { highestSigned } from '../../../packages/cli/src/sequence-file.ts'
import type { FileKind } from './kinds.ts'
import { mutateJson, mutateLine, mutateLines, mutateYaml } from './mutations.ts'
import {
  CONFIGURATIONS,
  DEVICE_FILES,
  DEVICE_LINES,
  KEK_FILES,
  KEYS_FILES,
  OPERATOR_KEY,
  SECRET_LINES,
  SEQUENCE_FILES,
} from './seeds.ts'

const UNFIT_SECRET_FILE = ['SecretFileError: secret_file_empty', 'SecretFileError: secret_file_unreadable']
const IMPORT_KEY = createPublicKey(OPERATOR_KEY).export({ format: 'der', type: 'spki' })
const PINNED_HSM = {
  hsmId: '00'.repeat(8),
  organisationId: '11'.repeat(16),
  importPublicKey: IMPORT_KEY.toString('base64'),
  importKeyThumbprint: createHash('sha256').update(IMPORT_KEY).digest('hex'),
  receiptPublicKey: IMPORT_KEY.toString('base64'),
}

/** The files that a user gives to the CLI; they are written to `directory`, because the CLI reads them there. */
export function cliKinds(directory: string): FileKind[] {
  const written = (name: string, bytes: Buffer): string => {
    const path = join(directory, name)
    writeFileSync(path, bytes, { mode: 0o600 })
    return path
  }
  return [
    {
      name: 'mortise.yaml',
      seeds: CONFIGURATIONS,
      mutate: mutateYaml,
      read: (bytes) => readConfigFile(written('mortise.yaml', bytes)),
      refusals: ['CliError: config_invalid'],
      complaint: (value) => configComplaint(value as Record<string, unknown>),
    },
    {
      name: 'device file',
      seeds: DEVICE_FILES,
      mutate: mutateLines,
      read: (bytes) => readDevices(written('devices.jsonl', bytes)),
      refusals: [...UNFIT_SECRET_FILE, 'CliError: device_file_invalid'],
      complaint: (value) => (value as DeviceEntry[]).map(deviceComplaint).find((complaint) => complaint !== undefined),
    },
    {
      name: 'device line',
      seeds: DEVICE_LINES,
      mutate: mutateJson,
      read: (bytes) => parseDeviceLine(bytes.toString()),
      refusals: ['DeviceLineError'],
      complaint: (value) => deviceComplaint(value as DeviceEntry),
    },
    {
      name: 'keys file',
      seeds: KEYS_FILES,
      mutate: mutateJson,
      read: (bytes) => readKeysFile(written('keys.json', bytes), bytes.includes('nwkKey') ? '1.1.0' : '1.0.3'),
      refusals: [...UNFIT_SECRET_FILE, 'CliError: keys_file_malformed'],
      complaint: (value) => keysComplaint(value as RootKeys),
    },
    {
      name: 'KEK file',
      seeds: KEK_FILES,
      mutate: mutateLine,
      read: (bytes) => readKek(written('kek.hex', bytes)).bytes,
      refusals: [...UNFIT_SECRET_FILE, 'CliError: key_file_malformed'],
      complaint: (value) => kekComplaint(value as Uint8Array),
    },
    {
      name: 'passphrase file',
      seeds: SECRET_LINES,
      mutate: mutateLine,
      read: (bytes) => readSecretLine(written('passphrase', bytes)),
      refusals: UNFIT_SECRET_FILE,
      complaint: (value, bytes) => (bytes.indexOf(value as Buffer) === 0 ? undefined : 'not what the file begins with'),
    },
    {
      name: 'last-sequence',
      seeds: SEQUENCE_FILES,
      mutate: mutateLine,
      read: (bytes) => highestSigned(written('last-sequence', bytes)),
      refusals: ['CliError: sequence_file_malformed'],
      complaint: (value, bytes) => (/^\s*\d+\s*$/.test(bytes.toString()) ? undefined : `${String(value)} of no number`),
    },
    {
      name: 'operator key',
      seeds: [OPERATOR_KEY],
      mutate: mutateLine,
      read: (bytes) => openOperatorWith(directory, bytes, Buffer.from(JSON.stringify(PINNED_HSM))),
      refusals: [...UNFIT_SECRET_FILE, 'CliError: operator_key_malformed'],
      complaint: () => undefined,
    },
    {
      name: 'hsm.json',
      seeds: [Buffer.from(JSON.stringify(PINNED_HSM))],
      mutate: mutateJson,
      read: (bytes) => openOperatorWith(directory, OPERATOR_KEY, bytes),
      refusals: ['CliError: hsm_file_malformed'],
      complaint: (value) => ((value as Buffer).equals(IMPORT_KEY) ? undefined : 'another import key'),
    },
  ]
}

async function readDevices(path: string): Promise<DeviceEntry[]> {
  const { devices } = await checkDeviceFile(path)
  const entries: DeviceEntry[] = []
  for await (const batch of readBatches(path, 2)) entries.push(...batch.map(({ entry }) => entry))
  if (entries.length !== devices) throw new TypeError(`${entries.length} devices, not ${devices}`)
  return entries
}

/** The import key to which keys would be sealed. */
function openOperatorWith(directory: string, key: Buffer, pinned: Buffer): Buffer {
  const root = join(directory, 'operator')
  mkdirSync(root, { recursive: true })
  writeFileSync(join(root, 'operator-key.pem'), key, { mode: 0o600 })
  writeFileSync(join(root, 'hsm.json'), pinned)
  return openOperator({ data: directory }).importPublicKey
}

function configComplaint(config: Record<string, unknown>): string | undefined {
  for (const [name, value] of Object.entries(config)) {
    if (['passphraseFile', 'pinFile', 'hsmSocket', 'biListen', 'apiListen'].includes(name)) {
      if (typeof value !== 'string') return name
    } else if (name === 'biPath') {
      if (!Array.isArray(value) || !value.every((path) => typeof path === 'string')) return name
    } else if (name !== 'workers' || !Number.isSafeInteger(value)) return name
  }
  return undefined
}

function deviceComplaint(entry: DeviceEntry): string | undefined {
  const { devEui, joinEui, macVersion, keys, applicationServers, networks } = entry
  if (!/^[0-9a-f]{16}$/.test(devEui) || !/^[0-9a-f]{16}$/.test(joinEui)) return 'EUI'
  if (!/^1\.(0\.[0-4]|1\.0)$/.test(macVersion)) return 'macVersion'
  if ((keys.nwkKey !== undefined) !== (macVersion === '1.1.0')) return 'nwkKey'
  if (!applicationServers.every((id) => /^[\x21-\x7e]{1,64}$/.test(id))) return 'as'
  if (!networks.every((netId) => /^[0-9a-f]{6}$/.test(netId))) return 'networks'
  return keysComplaint(keys)
}

function keysComplaint({ appKey, nwkKey }: RootKeys): string | undefined {
  const fit = [appKey, nwkKey ?? appKey].every((key) => key.length === 16 && key.some((byte) => byte !== 0))
  return fit ? undefined : 'root key'
}

function kekComplaint(kek: Uint8Array): string | undefined {
  return [16, 24, 32].includes(kek.length) && kek.some((byte) => byte !== 0) ? undefined : `${kek.length} bytes`
}
