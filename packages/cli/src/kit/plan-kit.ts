import { readFileSync } from 'node:fs'
import { isIP } from 'node:net'
import { type DialectName, dialectOf } from '@mortise/backend-interfaces'
import { type JoinEuiPrefix, type NetId, parseNsId } from '@mortise/lorawan'
import { type Administration, dataDirectory, type KekView, type PeerView } from '@mortise/server'
import { CliError, usageError } from '../errors.ts'
import type { KitKind, KitManifest } from './manifest.ts'
import { servedJoinEuis, wholeJoinEui } from './served-join-euis.ts'

export interface KitPlan {
  readonly manifest: KitManifest
  readonly joinEuis: readonly JoinEuiPrefix[]
  /** What the operator should look into; sentences. */
  readonly warnings: readonly string[]
}

export interface PlanOptions {
  readonly kind: KitKind
  /** Where network servers reach the join server; found out when it is absent. */
  readonly url: string | undefined
  /** Those of the devices that the network may activate, when it is absent. */
  readonly joinEuis: readonly JoinEuiPrefix[] | undefined
  /** Data directory of a server on this machine. */
  readonly data: string | undefined
}

const DIALECTS: Readonly<Record<KitKind, DialectName>> = {
  chirpstack: 'chirpstack-4',
  'the-things-stack': 'the-things-stack',
}

/** As many entries as somebody still looks through. */
const MAX_JOIN_EUIS = 64

/** What a kit for this peer says. @throws CliError */
export async function planKit(
  administration: Pick<Administration, 'listKeks' | 'listDevices' | 'listCertificates'>,
  peer: PeerView,
  netId: NetId,
  options: PlanOptions,
): Promise<KitPlan> {
  const { kind } = options
  const names = await serverNames(administration)
  const url = serverUrl(options, names)
  refuseQuery(kind, url)
  const kek = newestKek(await administration.listKeks(), netId)
  refuseWhatItCannot(kind, peer, kek)
  return {
    manifest: {
      ...{ kind, madeAt: new Date().toISOString(), url: url.href, netId, slug: slugOf(url) },
      nsId: kind === 'the-things-stack' && peer.nsId !== undefined ? parseNsId(peer.nsId) : undefined,
      kek: kek && { label: kek.label, bytes: kek.size },
      asyncUrl: peer.asyncUrl,
    },
    joinEuis: options.joinEuis ?? (await joinEuisOf(administration, netId)),
    warnings: [...dialectWarning(kind, peer), ...nameWarning(url, names)],
  }
}

async function serverNames(administration: Pick<Administration, 'listCertificates'>): Promise<readonly string[]> {
  const certificates = await administration.listCertificates()
  return certificates.filter(({ kind, isAuthority }) => kind === 'server' && !isAuthority).flatMap(({ names }) => names)
}

function serverUrl({ url, data }: PlanOptions, names: readonly string[]): URL {
  if (url !== undefined) {
    const given = URL.canParse(url) ? new URL(url) : undefined
    if (given?.protocol === 'https:') return given
    throw usageError(`--url must be an https:// address, not ${url}`, 'such as https://js.example.com:8443')
  }
  const name = names.find((one) => isIP(one) === 0 && one.includes('.'))
  const port = data === undefined ? undefined : listeningPort(data)
  if (name !== undefined && port !== undefined) return new URL(`https://${name}:${port}/`)
  throw usageError('where do network servers reach the join server?', 'say --url https://js.example.com:8443')
}

/** Of the Backend Interfaces listener of the server that runs on this directory. */
function listeningPort(data: string): string | undefined {
  try {
    const { bi } = JSON.parse(readFileSync(dataDirectory(data).serverFile, 'utf8')) as { bi?: unknown }
    return typeof bi === 'string' ? /:(\d{1,5})$/.exec(bi)?.[1] : undefined
  } catch {
    return undefined
  }
}

/** Part of file names, and of none that another join server has. */
function slugOf({ hostname }: URL): string {
  const slug = hostname
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .replace(/^-|-$/g, '')
  return slug.slice(0, 64)
}

function newestKek(keks: readonly KekView[], netId: NetId): KekView | undefined {
  const own = keks.filter(({ kind, recipient }) => kind === 'ns' && recipient === netId)
  return own.toSorted((a, b) => b.version - a.version)[0]
}

/** The Things Stack has scheme, name, port and paths in its configuration, and nothing else of a URL. */
function refuseQuery(kind: KitKind, url: URL): void {
  if (kind !== 'the-things-stack' || url.search === '') return
  throw usageError(`The Things Stack cannot ask a URL with a query: ${url.href}`, 'leave the query out of --url')
}

/** A kit that cannot work is not written. */
function refuseWhatItCannot(kind: KitKind, { id, asyncUrl }: PeerView, kek: KekView | undefined): void {
  const { kekSizes, asynchronous } = dialectOf(DIALECTS[kind])
  if (kek !== undefined && !kekSizes.includes(kek.size))
    throw new CliError('kek_unusable', `${kind} cannot unwrap under ${kek.label}, a KEK of ${8 * kek.size} bits`, {
      hint: `set one of ${kekSizes.map((size) => 8 * size).join(' or ')} bits: mortise kek set --ns ${id} …`,
    })
  if (asyncUrl !== undefined && !asynchronous)
    throw new CliError('asynchronous_unusable', `${kind} reads answers from the response only`, {
      hint: `take the URL away: mortise peer set ns --net-id ${id} --no-async-url`,
    })
}

async function joinEuisOf(
  administration: Pick<Administration, 'listDevices'>,
  netId: NetId,
): Promise<readonly JoinEuiPrefix[]> {
  const joinEuis = await servedJoinEuis(administration, netId)
  const hint = 'say which JoinEUIs go to this join server: --join-eui 70b3d57ed0000000/40'
  if (joinEuis.length === 0)
    throw new CliError('join_euis_unknown', `no device may join through ${netId} yet`, { hint })
  if (joinEuis.length > MAX_JOIN_EUIS)
    throw new CliError('join_euis_too_many', `its devices have ${joinEuis.length} JoinEUIs`, { hint })
  return joinEuis.map(wholeJoinEui)
}

function dialectWarning(kind: KitKind, { id, dialect }: PeerView): string[] {
  const wanted = DIALECTS[kind]
  if (dialect === wanted) return []
  return [
    `the peer ${id} is answered as ${dialect ?? 'standard-1.0'}: mortise peer set ns --net-id ${id} --dialect ${wanted}`,
  ]
}

function nameWarning({ hostname }: URL, names: readonly string[]): string[] {
  const host = hostname.replace(/^\[|\]$/g, '')
  if (names.length === 0 || names.includes(host)) return []
  return [`the certificate of the server is not for ${host}: mortise certificate renew --name ${host}`]
}
