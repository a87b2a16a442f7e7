import { randomInt } from 'node:crypto'
import { promises, type NaptrRecord, type SrvRecord } from 'node:dns'
import type { JoinEui, NetId } from '@mortise/lorawan'

/** Where JoinEUIs and NetIDs are looked up (TS002 1.0 §19). */
export const JOIN_EUI_DOMAIN = 'joineuis.lora-alliance.org'
export const NET_ID_DOMAIN = 'netids.lora-alliance.org'

/** A server that speaks for a JoinEUI or a NetID. */
export interface ResolvedServer {
  /** `http:` only where the zone says LWN, the service without TLS: Mortise speaks to none of these. */
  readonly url: URL
  /**
   * Which records led to it: NAPTR with the flag `S` (by SRV), `A` (an address) or `U` (a URI), or the `name` itself as an
   * https host, as ChirpStack takes it.
   */
  readonly by: 'srv' | 'address' | 'uri' | 'name'
}

export interface ResolveOptions {
  readonly resolver?: Pick<promises.Resolver, 'resolveNaptr' | 'resolveSrv' | 'resolve4' | 'resolve6'>
  /** In place of the LoRa Alliance's. */
  readonly domain?: string
}

/** The domain name system gave no answer, or one without end; that does not say that there is no such name. */
export class ResolveError extends Error {
  override readonly name = 'ResolveError'
  readonly code = 'dns_failed'
}

/** For one question; a join-accept must leave five seconds after the uplink. */
const TIMEOUT_MS = 1500
const TRIES = 2

/** Questions for one name: its records may lead on to others, and in a circle. */
const MAX_QUESTIONS = 16
/** Records of one answer that are looked at. */
const MAX_RECORDS = 16

const SERVICES: ReadonlyMap<string, 'https' | 'http'> = new Map([
  ['LWNS', 'https'],
  ['LWN', 'http'],
])
const HOST = /^(?=.{1,253}$)(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9])?\.)*[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/i

/** No record of this kind, or no such name (c-ares). */
const NOTHING: ReadonlySet<unknown> = new Set(['ENODATA', 'ENOTFOUND'])

/**
 * The join servers of a JoinEUI, the one to be asked first at the head; none where nothing is published.
 * @throws ResolveError
 */
export function resolveJoinEui(joinEui: JoinEui, options: ResolveOptions = {}): Promise<ResolvedServer[]> {
  const digits = Array.from(joinEui).reverse().join('.')
  return resolveName(`${digits}.${options.domain ?? JOIN_EUI_DOMAIN}`, options)
}

/**
 * The servers of the network with a NetID, likewise.
 * @throws ResolveError
 */
export function resolveNetId(netId: NetId, options: ResolveOptions = {}): Promise<ResolvedServer[]> {
  return resolveName(`${netId}.${options.domain ?? NET_ID_DOMAIN}`, options)
}

type Resolver = NonNullable<ResolveOptions['resolver']>

async function resolveName(name: string, { resolver = newResolver() }: ResolveOptions): Promise<ResolvedServer[]> {
  const questions = new Questions(resolver)
  const servers = await byNaptr(questions, name)
  if (servers.length > 0) return servers
  return (await questions.hasAddress(name)) ? serversAt('https', name, undefined, 'name') : []
}

function newResolver(): Resolver {
  return new promises.Resolver({ timeout: TIMEOUT_MS, tries: TRIES })
}

/** RFC 3403 §4.1: of the records that are understood, those of the lowest order, by their preference. */
async function byNaptr(questions: Questions, name: string): Promise<ResolvedServer[]> {
  const records = (await questions.naptr(name))
    .filter(({ service }) => SERVICES.has(service.toUpperCase()))
    .sort((a, b) => a.order - b.order || a.preference - b.preference)
  for (const [, ofOneOrder] of Map.groupBy(records, ({ order }) => order)) {
    const servers: ResolvedServer[] = []
    for (const record of ofOneOrder) servers.push(...(await follow(questions, record)))
    if (servers.length > 0) return servers
  }
  return []
}

async function follow(questions: Questions, record: NaptrRecord): Promise<ResolvedServer[]> {
  const { flags, service, replacement, regexp } = record
  const scheme = SERVICES.get(service.toUpperCase()) ?? 'https'
  switch (flags.toUpperCase()) {
    case 'S':
      return inTurn(await questions.srv(replacement)).flatMap(({ name, port }) => serversAt(scheme, name, port, 'srv'))
    case 'A':
      return serversAt(scheme, replacement, undefined, 'address')
    case 'U':
      return serversOfUri(regexp)
    case 'P':
    case '':
      return byNaptr(questions, replacement)
    default:
      return []
  }
}

/** RFC 2782: by priority, and those of one priority by lot. */
function inTurn(records: readonly SrvRecord[]): SrvRecord[] {
  const groups = Map.groupBy(
    records.toSorted((a, b) => a.priority - b.priority),
    ({ priority }) => priority,
  )
  return Array.from(groups.values()).flatMap(drawn)
}

/** The next one is drawn by weight each time; one of weight 0 has the smallest chance. */
function drawn(records: readonly SrvRecord[]): SrvRecord[] {
  const left = records.toSorted((a, b) => a.weight - b.weight)
  const inTurn: SrvRecord[] = []
  while (left.length > 0) {
    let lot = randomInt(left.reduce((sum, { weight }) => sum + weight, 0) + 1)
    const index = left.findIndex(({ weight }) => (lot -= weight) <= 0)
    inTurn.push(...left.splice(index, 1))
  }
  return inTurn
}

/** None where the record names no host: `.` says that there is no service here. */
function serversAt(
  scheme: 'https' | 'http',
  name: string,
  port: number | undefined,
  by: ResolvedServer['by'],
): ResolvedServer[] {
  const host = name.replace(/\.$/, '')
  if (!HOST.test(host)) return []
  const address = `${scheme}://${host}${port === undefined ? '' : `:${port}`}/`
  return URL.canParse(address) ? [{ url: new URL(address), by }] : []
}

/**
 * RFC 3402 §3.2: delimiter, expression, replacement. Only an expression that takes the whole name is understood, because
 * expressions of strangers are not run here.
 */
function serversOfUri(regexp: string): ResolvedServer[] {
  const [, expression = '', uri = ''] = regexp.split(regexp.charAt(0))
  if (!/^\^?\.[*+]\$?$/.test(expression) || uri.includes('\\') || !URL.canParse(uri)) return []
  const url = new URL(uri)
  return url.protocol === 'https:' || url.protocol === 'http:' ? [{ url, by: 'uri' }] : []
}

/** What is asked of the domain name system for one name; no record is an answer. */
class Questions {
  readonly #resolver: Resolver
  #asked = 0

  constructor(resolver: Resolver) {
    this.#resolver = resolver
  }

  naptr(name: string): Promise<NaptrRecord[]> {
    return this.#ask(() => this.#resolver.resolveNaptr(name))
  }

  srv(name: string): Promise<SrvRecord[]> {
    return this.#ask(() => this.#resolver.resolveSrv(name))
  }

  async hasAddress(name: string): Promise<boolean> {
    if ((await this.#ask(() => this.#resolver.resolve4(name))).length > 0) return true
    return (await this.#ask(() => this.#resolver.resolve6(name))).length > 0
  }

  /** @throws ResolveError */
  async #ask<Found>(question: () => Promise<Found[]>): Promise<Found[]> {
    if (++this.#asked > MAX_QUESTIONS) throw new ResolveError(`the records lead on more than ${MAX_QUESTIONS} times`)
    try {
      return (await question()).slice(0, MAX_RECORDS)
    } catch (error) {
      if (error instanceof Error && 'code' in error && NOTHING.has(error.code)) return []
      const reason = error instanceof Error ? error.message : 'unknown'
      throw new ResolveError(`the domain name system gave no answer: ${reason}`, { cause: error })
    }
  }
}
