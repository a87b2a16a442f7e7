import { DIALECT_NAMES, type DialectName, dialectOf, type ProtocolVersion } from '@mortise/backend-interfaces'
import type { NsId } from '@mortise/lorawan'
import { type Command, Option } from 'commander'
import { usageError } from '../errors.ts'
import { httpsUrlOption, nsIdOption } from '../identifiers.ts'

/** What a dialect's requests say, unless the operator knows better. */
const USUAL_PROTOCOL: Readonly<Record<DialectName, ProtocolVersion>> = {
  'standard-1.0': '1.0',
  'standard-1.1': '1.1',
  'chirpstack-4': '1.0',
  'chirpstack-3': '1.0',
  'the-things-stack': '1.1',
  helium: '1.1',
}

const DEFAULT_DIALECT: DialectName = 'standard-1.0'

/** As `peer add` takes them; `false` takes one away, which `peer set` alone can. */
export interface SettingOptions {
  readonly nsId?: NsId | false
  readonly protocol?: ProtocolVersion
  readonly dialect?: DialectName
  readonly asyncUrl?: string | false
  readonly kekOnly?: boolean
}

export interface Settings {
  readonly protocol: ProtocolVersion
  readonly dialect: DialectName
  readonly nsId: NsId | undefined
  readonly asyncUrl: string | undefined
  readonly kekOnly: boolean
}

export function withProtocol(command: Command): Command {
  return command.addOption(
    new Option('--protocol <version>', 'Backend Interfaces (default: as its dialect asks; 1.1 with an NSID)').choices([
      '1.0',
      '1.1',
    ]),
  )
}

/** Adds what is to be known of a network server beside its certificate. */
export function withSettings(command: Command): Command {
  return withProtocol(command)
    .addOption(
      new Option('--dialect <name>', `which network server it is (default: ${DEFAULT_DIALECT})`).choices(DIALECT_NAMES),
    )
    .option('--ns-id <eui64>', 'its NSID (Backend Interfaces 1.1), 16 hex digits', nsIdOption)
    .option('--async-url <url>', 'post its answers to this https URL, in place of the response', httpsUrlOption)
    .option('--kek-only', 'network session keys leave under a KEK only: without one its joins are refused')
}

/** Adds how to take them away again. */
export function withRemovableSettings(command: Command): Command {
  return withSettings(command)
    .option('--no-ns-id', 'it has no NSID')
    .option('--no-async-url', 'answer in the response')
    .option('--no-kek-only', 'where there is no KEK, keys leave in clear, inside mutual TLS')
}

/** The settings of a new peer. @throws CliError usage */
export function newSettings(options: SettingOptions): Settings {
  const nothing = { dialect: DEFAULT_DIALECT, nsId: undefined, asyncUrl: undefined, kekOnly: false }
  return changedSettings({ ...nothing, protocol: '1.0' }, { dialect: DEFAULT_DIALECT, ...options })
}

/** Settings with what the options say; a dialect or an NSID says the protocol as well. @throws CliError usage */
export function changedSettings(current: Settings, options: SettingOptions): Settings {
  const dialect = options.dialect ?? current.dialect
  const nsId = changed(current.nsId, options.nsId)
  const asyncUrl = changed(current.asyncUrl, options.asyncUrl)
  const impliesProtocol = options.dialect !== undefined || typeof options.nsId === 'string'
  const implied = nsId === undefined ? USUAL_PROTOCOL[dialect] : '1.1'
  const protocol = options.protocol ?? (impliesProtocol ? implied : current.protocol)
  const settings = { protocol, dialect, nsId, asyncUrl, kekOnly: options.kekOnly ?? current.kekOnly }
  refuseContradictions(settings)
  return settings
}

function refuseContradictions({ protocol, dialect, nsId, asyncUrl }: Settings): void {
  const { protocolVersions, asynchronous } = dialectOf(dialect)
  if (nsId !== undefined && (protocol === '1.0' || !protocolVersions.includes('1.1')))
    throw usageError(
      'an NSID belongs to Backend Interfaces 1.1',
      'leave --ns-id out, or take the NSID of the peer away with --no-ns-id',
    )
  if (!protocolVersions.includes(protocol))
    throw usageError(
      `${dialect} does not speak Backend Interfaces ${protocol}`,
      `leave --protocol out, or say --protocol ${protocolVersions.join(' or ')}`,
    )
  if (asyncUrl !== undefined && !asynchronous)
    throw usageError(
      `${dialect} reads answers in the response alone`,
      'leave --async-url out, or take the URL of the peer away with --no-async-url',
    )
}

function changed<T>(current: T | undefined, option: T | false | undefined): T | undefined {
  if (option === undefined) return current
  return option === false ? undefined : option
}
