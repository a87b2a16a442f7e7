import { dirname, join } from 'node:path'
import { dialectOf, type ProtocolVersion } from '@mortise/backend-interfaces'
import {
  formatJoinEuiPrefix,
  type JoinEuiPrefix,
  type NetId,
  type NsId,
  parseJoinEuiPrefix,
  parseNetId,
  parseNsId,
} from '@mortise/lorawan'
import { stringify } from 'yaml'
import { CliError } from '../errors.ts'
import type { KitManifest } from './manifest.ts'
import { type Fault, KEK_PLACEHOLDER, type NetworkServerSetup, type ReadSetup } from './setup.ts'
import { type Entry, isNumberIn, readYaml, strangeKeys, textOf } from './yaml-entry.ts'

/** Where the container of The Things Stack has its configuration, if set up as its documentation says. */
export const STACK_DIRECTORY = '/config'
/** `ns.interop.directory`, below that. */
export const INTEROP = 'interop'
/** A part of the stack's own configuration, to be merged into it. */
export const STACK_FILE = 'ttn-lw-stack.yml'

const HTTPS_PORT = 443

/** The file of the join server. Its base name is one of its own: the claiming server tells join servers by it. */
export function joinServerFile({ slug }: KitManifest): string {
  return join(INTEROP, slug, `${slug}.yml`)
}

/** `interop/config.yml`: which JoinEUIs go to which join server. */
export function writeInteropConfig({ slug }: KitManifest, joinEuis: readonly JoinEuiPrefix[]): string {
  const entry = {
    file: `./${slug}/${slug}.yml`,
    components: ['ns'],
    'join-euis': joinEuis.map((prefix) => formatJoinEuiPrefix(prefix).toUpperCase()),
  }
  return yaml({ 'join-servers': [entry] })
}

/** Of the join server: it names files beside itself. An unknown key would keep the network server from starting. */
export function writeJoinServer({ url, nsId }: KitManifest): string {
  const { hostname, port, pathname } = new URL(url)
  const path = pathname.slice(1)
  return yaml({
    scheme: 'https',
    fqdn: hostname,
    port: port === '' ? HTTPS_PORT : Number(port),
    protocol: nsId === undefined ? 'BI1.0' : 'BI1.1',
    ...(path !== '' && { paths: { join: path, rejoin: path, 'app-s-key': path, 'home-ns': path } }),
    ...(nsId !== undefined && { 'sender-ns-id': nsId.toUpperCase() }),
    tls: { source: 'file', 'root-ca': 'ca.pem', certificate: 'cert.pem', key: 'key.pem' },
  })
}

/** What the stack's own configuration needs. */
export function writeStackPart({ netId, kek }: KitManifest): string {
  const interop = { 'config-source': 'directory', directory: `${STACK_DIRECTORY}/${INTEROP}` }
  const vault = kek && { provider: 'static', static: { [kek.label]: KEK_PLACEHOLDER } }
  return yaml({ ns: { 'net-id': netId, interop }, ...(vault && { 'key-vault': vault }) })
}

function yaml(value: unknown): string {
  return stringify(value, { defaultStringType: 'QUOTE_SINGLE', defaultKeyType: 'PLAIN' })
}

const CONFIG_KEYS = ['join-servers']
const ENTRY_KEYS = ['file', 'components', 'join-euis']
const JOIN_SERVER_KEYS = [
  ...['scheme', 'dns', 'fqdn', 'port', 'protocol', 'paths', 'sender-ns-id', 'basic-auth', 'headers', 'tls'],
]
const TLS_KEYS = ['source', 'root-ca', 'certificate', 'key', 'key-vault']

/** @throws CliError file_missing, file_unreadable, kit_malformed */
export function readTheThingsStack(directory: string, manifest: KitManifest): ReadSetup {
  const stack = readYaml(join(directory, STACK_FILE))
  const config = readYaml(join(directory, INTEROP, 'config.yml'))
  const servers = config['join-servers']
  const [first] = Array.isArray(servers) ? (servers as unknown[]) : []
  const entry = entryOf(first)
  if (entry === undefined)
    throw new CliError('kit_malformed', 'interop/config.yml names no join server', {
      hint: 'take the file as `mortise kit` wrote it',
    })
  const path = join(directory, INTEROP, textOf(entry['file']))
  const server = readYaml(path)
  const prefixes = prefixesOf(entry)
  const faults = [
    ...strangeKeys(config, CONFIG_KEYS, 'interop/config.yml'),
    ...strangeKeys(entry, ENTRY_KEYS, 'interop/config.yml'),
    ...strangeKeys(server, JOIN_SERVER_KEYS, textOf(entry['file'])),
    ...strangeKeys(entryOf(server['tls']) ?? {}, TLS_KEYS, textOf(entry['file'])),
    ...prefixes.filter((prefix): prefix is Fault => 'detail' in prefix),
    ...serverFaults(server, manifest),
    ...netIdFaults(stack, isNumberIn(join(directory, STACK_FILE), 'ns', 'net-id'), manifest),
  ]
  const joinEuis = prefixes.filter((prefix): prefix is JoinEuiPrefix => 'bits' in prefix)
  return { setup: setupOf(manifest, stack, server, dirname(path), joinEuis), faults }
}

function setupOf(
  manifest: KitManifest,
  stack: Entry,
  server: Entry,
  directory: string,
  joinEuis: readonly JoinEuiPrefix[],
): NetworkServerSetup {
  const tls = entryOf(server['tls']) ?? {}
  const path = (name: string): string | undefined => {
    const text = textOf(tls[name])
    return text === '' ? undefined : join(directory, text)
  }
  const keks = entryOf(entryOf(stack['key-vault'])?.['static']) ?? {}
  return {
    dialect: dialectOf('the-things-stack'),
    netId: netIdOf(stack) ?? manifest.netId,
    nsId: nsIdOf(server),
    protocolVersion: protocolOf(server),
    url: urlOf(server),
    joinEuis,
    files: { ca: path('root-ca'), certificate: path('certificate'), key: path('key') },
    keks: Object.entries(keks).map(([label, hex]) => ({ label, hex: textOf(hex) })),
    asynchronous: false,
    headers: headersOf(server),
  }
}

function serverFaults(server: Entry, manifest: KitManifest): Fault[] {
  const protocol = textOf(server['protocol'])
  const nsId = textOf(server['sender-ns-id'])
  const fix = (detail: string, remedy: string, isFault: boolean): Fault[] => (isFault ? [{ detail, remedy }] : [])
  return [
    ...fix(`protocol is "${protocol}".`, "write protocol: 'BI1.0' or 'BI1.1'.", !/^BI1\.[01]$/.test(protocol)),
    ...fix(
      'protocol BI1.1 without sender-ns-id: The Things Stack refuses every join with missing_ns_id.',
      manifest.nsId === undefined
        ? "write protocol: 'BI1.0', for which this kit was made."
        : `write sender-ns-id: '${manifest.nsId.toUpperCase()}'.`,
      protocol === 'BI1.1' && nsId === '',
    ),
    ...fix(
      'protocol BI1.0 with sender-ns-id: The Things Stack refuses every join with ns_id_not_supported.',
      manifest.nsId === undefined ? 'remove sender-ns-id.' : "write protocol: 'BI1.1', for which this kit was made.",
      protocol === 'BI1.0' && nsId !== '',
    ),
    ...fix('sender-ns-id is no NSID.', 'write its 16 hexadecimal digits.', nsId !== '' && nsIdOf(server) === undefined),
    ...fix(
      'fqdn is missing, or dns is there: The Things Stack looks no join server up.',
      `write fqdn: '${new URL(manifest.url).hostname}' and no dns.`,
      textOf(server['fqdn']) === '' || server['dns'] !== undefined,
    ),
  ]
}

/** YAML reads `000013` without quotation marks as a number. */
function netIdFaults(stack: Entry, isNumber: boolean, { netId }: KitManifest): Fault[] {
  const remedy = `write net-id: '${netId}' below ns, with the quotation marks.`
  if (isNumber) return [{ detail: `${STACK_FILE}: net-id stands without quotation marks, and is a number.`, remedy }]
  if (netIdOf(stack) !== undefined) return []
  const isMissing = entryOf(stack['ns'])?.['net-id'] === undefined
  const detail = isMissing ? 'there is no net-id: The Things Stack sends 000000.' : 'net-id is no NetID.'
  return [{ detail: `${STACK_FILE}: ${detail}`, remedy }]
}

function entryOf(value: unknown): Entry | undefined {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Entry) : undefined
}

function prefixesOf(entry: Entry): (JoinEuiPrefix | Fault)[] {
  const list = entry['join-euis']
  return (Array.isArray(list) ? (list as unknown[]) : []).map((one) => {
    try {
      return parseJoinEuiPrefix(textOf(one))
    } catch {
      return {
        detail: `interop/config.yml: '${textOf(one)}' is no prefix of JoinEUIs.`,
        remedy: "write 16 hexadecimal digits, a slash and the number of bits: '70B3D57ED0000000/40'.",
      }
    }
  })
}

function urlOf(server: Entry): string {
  const path = textOf(entryOf(server['paths'])?.['join'])
  const port = textOf(server['port']) || String(HTTPS_PORT)
  return `${textOf(server['scheme']) || 'https'}://${textOf(server['fqdn'])}:${port}/${path}`
}

function protocolOf(server: Entry): ProtocolVersion {
  return textOf(server['protocol']) === 'BI1.1' ? '1.1' : '1.0'
}

function netIdOf(stack: Entry): NetId | undefined {
  try {
    return parseNetId(textOf(entryOf(stack['ns'])?.['net-id']))
  } catch {
    return undefined
  }
}

function nsIdOf(server: Entry): NsId | undefined {
  try {
    return parseNsId(textOf(server['sender-ns-id']))
  } catch {
    return undefined
  }
}

function headersOf(server: Entry): Readonly<Record<string, string>> {
  const headers = Object.entries(entryOf(server['headers']) ?? {}).map(([name, value]) => [name, textOf(value)])
  const basic = entryOf(server['basic-auth'])
  if (basic === undefined) return Object.fromEntries(headers) as Record<string, string>
  const credentials = Buffer.from(`${textOf(basic['username'])}:${textOf(basic['password'])}`).toString('base64')
  return { ...(Object.fromEntries(headers) as Record<string, string>), authorization: `Basic ${credentials}` }
}
