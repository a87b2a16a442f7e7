import { InvalidArgumentError } from 'commander'
import { CliError, usageError } from '../errors.ts'
import { asIdOption, httpsUrlOption } from '../identifiers.ts'
import { parsedBy } from '../options.ts'
import { note } from '../output.ts'
import { ask, isInteractive } from '../terminal.ts'
import {
  BROKER_WORDS,
  type BridgePlan,
  parseBroker,
  parseSink,
  type PlannedSink,
  SINK_WORDS,
  SOURCE_KINDS,
  type SourceKind,
} from './plan.ts'

/** What the command was given; what is absent is asked for. */
export interface PlanOptions {
  readonly source?: SourceKind
  readonly sourceUrl?: string
  readonly sourceUser?: string
  readonly webhook?: string
  readonly apiUrl?: string
  readonly sink?: readonly PlannedSink[]
  readonly sinkUser?: string
  readonly joinServer?: string
  readonly asId?: string
  readonly kekLabel?: string
}

export const sourceOption = parsedBy(
  (text) => {
    const kind = SOURCE_KINDS.find((known) => known === text)
    if (kind === undefined) throw new RangeError('unknown')
    return kind
  },
  `one of ${SOURCE_KINDS.join(', ')}`,
)
export const brokerOption = parsedBy(parseBroker, BROKER_WORDS)
export const sinkOption = parsedBy(parseSink, SINK_WORDS)

const BROKER_EXAMPLE: Readonly<Record<SourceKind, string>> = {
  chirpstack: 'mqtts://chirpstack.example.com:8883',
  'the-things-stack': 'mqtts://stack.example.com:8883',
}

/** Asks a person for what is missing. @throws CliError usage, where nobody can be asked; names the option */
export async function completePlan(options: PlanOptions): Promise<BridgePlan> {
  if (options.webhook !== undefined && (options.sourceUrl !== undefined || options.sourceUser !== undefined))
    throw usageError('--webhook takes the place of --source-url and --source-user', 'events come one way')
  const source =
    options.source ?? (await demand('--source', `Network server (${SOURCE_KINDS.join(' or ')})`, sourceOption))
  const from = options.webhook === undefined ? await fromBroker(source, options) : { webhook: options.webhook }
  const sinks = options.sink ?? (await demandSinks())
  const sinkUser = options.sinkUser ?? (await userOfSinks(sinks))
  const joinServer = options.joinServer ?? (await offer('Join server, https://HOST:PORT (empty: none)', httpsUrlOption))
  const asId = options.asId ?? (await demand('--as-id', 'AS-ID by which the join server knows you', asIdOption))
  const { apiUrl, kekLabel = `${asId}-1` } = options
  return {
    ...{ source, from, sinks, asId, kekLabel },
    ...(sinkUser !== undefined && { sinkUser }),
    ...(apiUrl !== undefined && { apiUrl }),
    ...(joinServer !== undefined && { joinServer }),
  }
}

async function fromBroker(source: SourceKind, { sourceUrl, sourceUser }: PlanOptions): Promise<BridgePlan['from']> {
  const question = `Its MQTT broker, such as ${BROKER_EXAMPLE[source]}`
  const mqttUrl = sourceUrl ?? (await demand('--source-url', question, brokerOption))
  // The user names the application whose events one gets.
  const user =
    sourceUser ??
    (source === 'the-things-stack'
      ? await demand('--source-user', 'User at that broker, APPLICATION@TENANT', userOption)
      : await offer('User at that broker (empty: none)', userOption))
  // The open-source edition has no tenants, and no such part in the user's name and the topics.
  if (source === 'the-things-stack' && user !== undefined && !user.includes('@'))
    note(
      `the user ${user} names no tenant: right for The Things Stack Open Source alone, elsewhere it is ${user}@TENANT`,
    )
  return { mqttUrl, ...(user !== undefined && { user }) }
}

export const userOption = parsedBy((text) => {
  if (!/^[\x21-\x7e]{1,256}$/.test(text)) throw new RangeError('not a user')
  return text
}, 'a user name of printable characters, without spaces')

async function demandSinks(): Promise<readonly PlannedSink[]> {
  const sinks = [await demand('--sink', `Where readings go (${SINK_WORDS})`, sinkOption)]
  for (;;) {
    const next = await offer('Where else (empty: nowhere)', sinkOption)
    if (next === undefined) return sinks
    sinks.push(next)
  }
}

async function userOfSinks(sinks: readonly PlannedSink[]): Promise<string | undefined> {
  if (!sinks.some(({ kind }) => kind === 'mqtt')) return undefined
  return await offer('User at the broker for readings (empty: none)', userOption)
}

/** Asks until the answer can be used. */
async function demand<Value>(option: string, question: string, parse: (text: string) => Value): Promise<Value> {
  if (!isInteractive())
    throw new CliError('usage', `${option} is missing, and there is no terminal to ask`, {
      hint: `give ${option}; see mortise bridge init --help`,
      exitCode: 2,
    })
  for (;;) {
    const value = accepted(await ask(`${question}: `), parse)
    if (value !== undefined) return value
  }
}

/** Asks for what may be left out; without a terminal it is. */
async function offer<Value>(question: string, parse: (text: string) => Value): Promise<Value | undefined> {
  if (!isInteractive()) return undefined
  for (;;) {
    const text = await ask(`${question}: `)
    if (text === '') return undefined
    const value = accepted(text, parse)
    if (value !== undefined) return value
  }
}

function accepted<Value>(text: string, parse: (text: string) => Value): Value | undefined {
  try {
    return parse(text)
  } catch (error) {
    if (!(error instanceof InvalidArgumentError)) throw error
    note(error.message)
    return undefined
  }
}
