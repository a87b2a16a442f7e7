import { promises } from 'node:dns'
import { isIP, isIPv6 } from 'node:net'
import type { Command } from 'commander'
import { type ResolvedServer, resolveJoinEui, resolveNetId } from '@mortise/backend-interfaces'
import { type JoinEui, type NetId, parseJoinEui, parseNetId } from '@mortise/lorawan'
import { CliError } from '../errors.ts'
import { type DataOptions, examples, parsedBy, withJson } from '../options.ts'
import { report, table } from '../output.ts'

type Wanted = { readonly joinEui: JoinEui } | { readonly netId: NetId }

interface ResolveCommandOptions extends DataOptions {
  readonly domain?: string
  readonly dnsServer?: string
}

const TIMEOUT_MS = 2000
const TRIES = 2

const FOUND_BY: Record<ResolvedServer['by'], string> = {
  srv: 'NAPTR and SRV',
  address: 'NAPTR',
  uri: 'NAPTR with a URI',
  name: 'the name itself, as ChirpStack has it',
}

const wantedArgument = parsedBy(parseWanted, 'a JoinEUI of 16 or a NetID of 6 hexadecimal digits')
const dnsServerOption = parsedBy(parseDnsServer, 'an IP address, with a port where it is not 53')

export function registerResolve(dns: Command): void {
  const command = withJson(dns.command('resolve'))
    .description('show which servers are published for a JoinEUI or a NetID')
    .argument('<joineui|netid>', 'JoinEUI, 16 hex digits, or NetID, 6', wantedArgument)
    .option('--domain <name>', "in place of the LoRa Alliance's")
    .option('--dns-server <ip>', "name server to ask (default: the system's)", dnsServerOption)
    .action(resolve)
  examples(
    command,
    'mortise dns resolve 70b3d57ed0000001',
    'mortise dns resolve 000013 --domain netids.example.com --dns-server 192.0.2.53',
  )
}

async function resolve(wanted: Wanted, options: ResolveCommandOptions): Promise<void> {
  const { domain, dnsServer } = options
  const where = { ...(domain !== undefined && { domain }), ...(dnsServer !== undefined && resolverAt(dnsServer)) }
  const servers =
    'joinEui' in wanted ? await resolveJoinEui(wanted.joinEui, where) : await resolveNetId(wanted.netId, where)
  const name = 'joinEui' in wanted ? wanted.joinEui : wanted.netId
  if (servers.length === 0)
    throw new CliError('name_unknown', `nothing is published for ${name}`, {
      hint: 'is it right, and --domain? `mortise dns zone` writes the records of your own JoinEUIs',
    })
  const shown = servers.map(({ url, by }) => ({ url: url.href, by }))
  report(options, { ...wanted, servers: shown }, () =>
    table(
      ['URL', 'FOUND BY'],
      servers.map(({ url, by }) => [url.href, FOUND_BY[by]]),
    ),
  )
}

function resolverAt(dnsServer: string): { resolver: promises.Resolver } {
  const resolver = new promises.Resolver({ timeout: TIMEOUT_MS, tries: TRIES })
  resolver.setServers([dnsServer])
  return { resolver }
}

function parseWanted(text: string): Wanted {
  return text.length === 6 ? { netId: parseNetId(text) } : { joinEui: parseJoinEui(text) }
}

/** @throws RangeError */
function parseDnsServer(text: string): string {
  if (isIPv6(text)) return `[${text}]`
  const [, address = '', port = '53'] = /^\[?([^[\]]+?)\]?(?::(\d{1,5}))?$/.exec(text) ?? []
  if (isIP(address) === 0 || Number(port) < 1 || Number(port) > 65_535) throw new RangeError('no address')
  return text
}
