import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { dialectOf } from '@mortise/backend-interfaces'
import { formatJoinEuiPrefix, type JoinEuiPrefix, type NetId, parseJoinEuiPrefix, parseNetId } from '@mortise/lorawan'
import { CliError } from '../errors.ts'
import { readTextFile } from '../files.ts'
import type { KitManifest } from './manifest.ts'
import { type Fault, KEK_PLACEHOLDER, type NetworkServerSetup, type ReadSetup } from './setup.ts'
import { readToml, tomlFaults, tomlString, type TomlTable } from './toml.ts'

/** Where ChirpStack's packages and container images have their configuration. */
export const CHIRPSTACK_DIRECTORY = '/etc/chirpstack'

/** What was there before the kit. */
const OWN_FILE = 'chirpstack.toml'

/** Long enough for a join server that takes its time, short enough for the join-accept five seconds after the uplink. */
const ASYNC_TIMEOUT = '4s'
const DEFAULT_ASYNC_PORT = '443'

/** The file of the kit that ChirpStack reads. */
export function chirpStackFile({ slug }: KitManifest): string {
  return `${slug}.toml`
}

/**
 * ChirpStack v4 reads every *.toml of its directory, one after another, as one text: hence the empty line at either end.
 * A dollar sign would be the beginning of an environment variable.
 */
export function writeChirpStack(manifest: KitManifest, joinEuis: readonly JoinEuiPrefix[]): string {
  const { netId, url, kek, asyncUrl } = manifest
  return [
    '',
    `# The join server ${url} for the network ${netId}: a file of its own beside chirpstack.toml.`,
    `# SenderID comes from chirpstack.toml: it must have net_id="${netId}" under [network].`,
    ...joinEuis.flatMap((prefix) => ['', ...joinServer(manifest, prefix)]),
    ...(kek === undefined ? [] : ['', ...keyEncryptionKey(kek.label)]),
    ...(asyncUrl === undefined ? [] : ['', ...backendInterfaces(manifest, asyncUrl)]),
    '',
    '',
  ].join('\n')
}

function joinServer(manifest: KitManifest, prefix: JoinEuiPrefix): string[] {
  return [
    '[[join_server.servers]]',
    `  join_eui_prefix=${tomlString(formatJoinEuiPrefix(prefix))}`,
    `  server=${tomlString(manifest.url)}`,
    // `async_interface`, which `chirpstack configfile` prints, is read by no release.
    `  async_timeout=${tomlString(manifest.asyncUrl === undefined ? '0s' : ASYNC_TIMEOUT)}`,
    ...certificateLines(manifest, 'cert.pem', 'key.pem'),
  ]
}

function keyEncryptionKey(label: string): string[] {
  return [
    `# The key that wraps network session keys, as 32 hexadecimal digits. You and the join server's operator have it;`,
    '# it came to you, or goes to them, another way than this file. ChirpStack does not start before it stands here.',
    '[[keks]]',
    `  label=${tomlString(label)}`,
    `  kek="${KEK_PLACEHOLDER}"`,
  ]
}

function backendInterfaces(manifest: KitManifest, asyncUrl: string): string[] {
  const port = new URL(asyncUrl).port
  return [
    `# The join server posts its answers to ${asyncUrl}: that name and port must lead here.`,
    '[backend_interfaces]',
    `  bind="0.0.0.0:${port === '' ? DEFAULT_ASYNC_PORT : port}"`,
    ...certificateLines(manifest, 'listener-cert.pem', 'listener-key.pem'),
  ]
}

function certificateLines({ slug }: KitManifest, certificate: string, key: string): string[] {
  const directory = `${CHIRPSTACK_DIRECTORY}/${slug}`
  return [
    `  ca_cert=${tomlString(`${directory}/ca.pem`)}`,
    `  tls_cert=${tomlString(`${directory}/${certificate}`)}`,
    `  tls_key=${tomlString(`${directory}/${key}`)}`,
  ]
}

/** Keys of `[[join_server.servers]]` in ChirpStack v4. It passes over all others in silence. */
const KEYS = new Set([
  'join_eui_prefix',
  'join_eui',
  'server',
  'async_timeout',
  'ca_cert',
  'tls_cert',
  'tls_key',
  'authorization_header',
])
const HANDSHAKE_KEYS = ['server', 'async_timeout', 'ca_cert', 'tls_cert', 'tls_key', 'authorization_header'] as const

/** @throws CliError file_missing, file_unreadable, kit_malformed */
export function readChirpStack(directory: string, manifest: KitManifest): ReadSetup {
  const file = chirpStackFile(manifest)
  const text = readTextFile(join(directory, file), "ChirpStack's configuration", 'it is part of the kit')
  const own = readOwnFile(directory)
  const tables = readToml(text)
  const servers = tables.filter(({ name }) => name === 'join_server.servers')
  const [first, ...others] = servers
  if (first === undefined)
    throw new CliError('kit_malformed', `${file} has no [[join_server.servers]]`, {
      hint: 'take the file as `mortise kit` wrote it',
    })
  const prefixes = servers.map((table) => prefixOf(table, file))
  const faults = [
    ...servers.flatMap((table) => unknownKeys(table, file)),
    ...others.flatMap((table) => differences(first, table, file)),
    ...prefixes.filter((prefix): prefix is Fault => 'detail' in prefix),
    ...netIdFaults(tables, manifest, file),
    ...syntaxFaults(text, file),
    ...(own === undefined ? [] : syntaxFaults(own, OWN_FILE)),
  ]
  const joinEuis = prefixes.filter((prefix): prefix is JoinEuiPrefix => 'bits' in prefix)
  const netId = own === undefined ? manifest.netId : netIdIn(own)
  return { setup: setupOf(directory, netId, tables, first, joinEuis), faults }
}

function setupOf(
  directory: string,
  netId: NetId,
  tables: readonly TomlTable[],
  server: TomlTable,
  joinEuis: readonly JoinEuiPrefix[],
): NetworkServerSetup {
  const authorization = textOf(server, 'authorization_header')
  return {
    dialect: dialectOf('chirpstack-4'),
    netId,
    nsId: undefined,
    protocolVersion: '1.0',
    url: textOf(server, 'server'),
    joinEuis,
    files: {
      ca: pathOf(directory, textOf(server, 'ca_cert')),
      certificate: pathOf(directory, textOf(server, 'tls_cert')),
      key: pathOf(directory, textOf(server, 'tls_key')),
    },
    keks: tables
      .filter(({ name }) => name === 'keks')
      .map((table) => ({ label: textOf(table, 'label'), hex: textOf(table, 'kek') })),
    asynchronous: isDuration(textOf(server, 'async_timeout')),
    headers: authorization === '' ? {} : { authorization },
  }
}

/** ChirpStack's own file, where the kit lies beside it or a copy of it in the kit. */
function readOwnFile(directory: string): string | undefined {
  const path = join(directory, OWN_FILE)
  return existsSync(path) ? readTextFile(path, "ChirpStack's own configuration", 'let it be read') : undefined
}

function netIdIn(own: string): NetId {
  const network = readToml(own).find(({ name }) => name === 'network')
  try {
    return parseNetId(network === undefined ? '' : textOf(network, 'net_id'))
  } catch {
    // As ChirpStack takes it when it is not said.
    return parseNetId('000000')
  }
}

function syntaxFaults(text: string, file: string): Fault[] {
  return tomlFaults(text).map(({ line, detail }) => ({
    detail: `${file}, line ${line}: ${detail}`,
    remedy: 'mend the line: ChirpStack does not start with it.',
  }))
}

function textOf({ values }: TomlTable, key: string): string {
  const value = values.get(key)
  return typeof value === 'string' ? value : ''
}

/** The kit is laid out as ChirpStack's directory is. */
function pathOf(directory: string, path: string): string | undefined {
  if (path === '') return undefined
  return path.startsWith(`${CHIRPSTACK_DIRECTORY}/`) ? join(directory, path.slice(CHIRPSTACK_DIRECTORY.length)) : path
}

/** Whether a duration as ChirpStack writes them (`0s`, `4s`, `1m 30s`) is more than none. */
function isDuration(text: string): boolean {
  return /[1-9]/.test(text)
}

function prefixOf(server: TomlTable, file: string): JoinEuiPrefix | Fault {
  const text = textOf(server, 'join_eui_prefix') || textOf(server, 'join_eui')
  try {
    return parseJoinEuiPrefix(text)
  } catch {
    return {
      detail: `${file}, line ${server.line}: join_eui_prefix="${text}" is no prefix of JoinEUIs.`,
      remedy: 'write 16 hexadecimal digits, a slash and the number of bits: "70b3d57ed0000000/40".',
    }
  }
}

function unknownKeys(server: TomlTable, file: string): Fault[] {
  return Array.from(server.values.keys())
    .filter((key) => !KEYS.has(key))
    .map((key) => ({
      detail: `${file}, line ${server.line}: ChirpStack does not read ${key}.`,
      remedy: key.startsWith('async_interface')
        ? 'remove it, and say async_timeout="0s" for answers in the response, or a time for answers that are posted.'
        : `remove it; the keys are ${Array.from(KEYS).join(', ')}.`,
    }))
}

/** All entries are tried as one: those of one kit differ in their JoinEUIs alone. */
function differences(first: TomlTable, other: TomlTable, file: string): Fault[] {
  return HANDSHAKE_KEYS.filter((key) => first.values.get(key) !== other.values.get(key)).map((key) => ({
    detail: `${file}, line ${other.line}: ${key} is not that of the first [[join_server.servers]].`,
    remedy: 'let all entries of this join server say the same, save for join_eui_prefix.',
  }))
}

function netIdFaults(tables: readonly TomlTable[], { netId }: KitManifest, file: string): Fault[] {
  const network = tables.find(({ name }) => name === 'network')
  if (network === undefined) return []
  return [
    {
      detail: `${file}, line ${network.line}: [network] stands in chirpstack.toml already.`,
      remedy: `remove it here, and write net_id="${netId}" there: TOML has every table once.`,
    },
  ]
}
