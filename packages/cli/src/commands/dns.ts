import { isIP } from 'node:net'
import type { Command } from 'commander'
import { JOIN_EUI_DOMAIN } from '@mortise/backend-interfaces'
import type { JoinEui } from '@mortise/lorawan'
import { openAdministration } from '../administration.ts'
import { CliError, usageError } from '../errors.ts'
import { joinEuiOption } from '../identifiers.ts'
import { servedJoinEuis } from '../kit/served-join-euis.ts'
import { writeZone } from '../kit/zone.ts'
import { examples, integer, parsedBy, repeated, type ServerOptions, withServer } from '../options.ts'
import { report, warn } from '../output.ts'
import { registerResolve } from './dns-resolve.ts'

interface ZoneCommandOptions extends ServerOptions {
  readonly origin: string
  readonly host: string
  readonly port: number
  readonly address?: readonly string[]
  readonly cname?: boolean
  readonly joinEui?: readonly JoinEui[]
}

const DEFAULT_PORT = 443
const MAX_PORT = 65_535
const MAX_NAME_LENGTH = 253

const nameOption = parsedBy(parseName, 'a domain name')
const addressOption = parsedBy(parseAddress, 'an IPv4 or IPv6 address')

export function registerDns(program: Command): void {
  const dns = program.command('dns').description('records by which network servers find this join server')
  examples(dns, 'mortise dns zone --host js.example.com --address 192.0.2.1')
  const zone = withServer(dns.command('zone'))
    .description('write zone records for the JoinEUIs of the devices: NAPTR and SRV, and addresses for ChirpStack')
    .requiredOption('--host <name>', 'name of the join server', nameOption)
    .option('--port <n>', 'port of its Backend Interfaces listener', integer(1, MAX_PORT), DEFAULT_PORT)
    .option('--origin <name>', 'zone, or the part of it that was delegated', nameOption, JOIN_EUI_DOMAIN)
    .option('--address <ip>', 'address of the join server, repeatable: A and AAAA', repeated(addressOption))
    .option('--cname', 'CNAME alone, which no other record may stand beside')
    .option('--join-eui <eui>', 'JoinEUI, repeatable (default: those of all devices)', repeated(joinEuiOption))
    .action(printZone)
  examples(
    zone,
    'mortise dns zone --host js.example.com --port 8443',
    'mortise dns zone --origin joineuis.example.com --host js.example.com --address 192.0.2.1 --address 2001:db8::1',
    'mortise dns zone --origin 0.0.0.0.d.e.7.5.d.3.b.0.7.joineuis.lora-alliance.org --host js.example.com',
  )
  registerResolve(dns)
  zone.addHelpText(
    'after',
    '\nChirpStack looks the name of a JoinEUI up as the address of an https server on port 443: it needs --address or\n' +
      '--cname, and a server certificate for that very name.',
  )
}

async function printZone(options: ZoneCommandOptions): Promise<void> {
  const { origin, host, port, address: addresses = [], cname: alias = false } = options
  if (alias && addresses.length > 0) throw usageError('--cname stands alone', 'leave --address out, or --cname')
  const joinEuis = options.joinEui ?? (await joinEuisOfDevices(options))
  if (joinEuis.length === 0)
    throw new CliError('join_euis_unknown', 'there is no device yet', { hint: 'name JoinEUIs with --join-eui' })
  const { text, outside } = writeZone({ origin, joinEuis, host, port, addresses, alias })
  for (const joinEui of outside) warn(`the JoinEUI ${joinEui} has no name below ${origin}, and is left out`)
  report(options, { origin, zone: text, outside }, () => text.trimEnd())
}

async function joinEuisOfDevices(options: ServerOptions): Promise<readonly JoinEui[]> {
  await using administration = await openAdministration(options)
  return await servedJoinEuis(administration)
}

/** @throws RangeError */
function parseName(text: string): string {
  const name = text.replace(/\.$/, '')
  const isName = name.split('.').every((label) => /^(?!-)[A-Za-z0-9_-]{1,63}(?<!-)$/.test(label))
  if (!isName || name.length > MAX_NAME_LENGTH || isIP(name) !== 0) throw new RangeError('no name')
  return name.toLowerCase()
}

/** @throws RangeError */
function parseAddress(text: string): string {
  if (isIP(text) === 0) throw new RangeError('no address')
  return text
}
