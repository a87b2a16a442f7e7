import { join } from 'node:path'
import { type NetId, type NsId, parseNetId, parseNsId } from '@mortise/lorawan'
import { CliError, errorCode } from '../errors.ts'
import { readTextFile } from '../files.ts'

/** The network servers for which kits are written. */
export const KIT_KINDS = ['chirpstack', 'the-things-stack'] as const
export type KitKind = (typeof KIT_KINDS)[number]

/** `kit.json`: what the join server's side knows of the network server, so that `kit test` can compare. No secret. */
export interface KitManifest {
  readonly kind: KitKind
  /** ISO 8601. */
  readonly madeAt: string
  /** Of the join server, as given to the network server. */
  readonly url: string
  readonly netId: NetId
  /** Backend Interfaces 1.1. */
  readonly nsId: NsId | undefined
  /** What wraps the network session keys; undefined when they travel in clear inside TLS. */
  readonly kek: { readonly label: string; readonly bytes: number } | undefined
  /** Where the join server posts its answers; undefined when they come in the response. */
  readonly asyncUrl: string | undefined
  /** Names files and directories of the kit, from the host of the join server. */
  readonly slug: string
}

export const MANIFEST_FILE = 'kit.json'
const FORMAT = 1

export function encodeManifest(manifest: KitManifest): string {
  return `${JSON.stringify({ format: FORMAT, ...manifest }, undefined, 2)}\n`
}

/** @throws CliError file_missing, file_unreadable, kit_malformed */
export function readManifest(directory: string): KitManifest {
  const path = join(directory, MANIFEST_FILE)
  const text = readTextFile(
    path,
    'the description of the kit',
    'name the directory that `mortise kit` wrote with --kit',
  )
  try {
    return parseManifest(JSON.parse(text) as unknown)
  } catch (error) {
    throw new CliError('kit_malformed', `${path} does not describe a kit of this version`, {
      hint: 'take the file as `mortise kit` wrote it',
      ...(errorCode(error) !== undefined && { cause: error }),
    })
  }
}

function parseManifest(value: unknown): KitManifest {
  const { format, kind, madeAt, url, netId, nsId, kek, asyncUrl, slug } = objectOf(value)
  const known = KIT_KINDS.find((name) => name === kind)
  if (format !== FORMAT || known === undefined) throw new RangeError('format')
  return {
    kind: known,
    madeAt: textOf(madeAt),
    url: textOf(url),
    netId: parseNetId(textOf(netId)),
    nsId: nsId === undefined ? undefined : parseNsId(textOf(nsId)),
    kek: kek === undefined ? undefined : parseKek(objectOf(kek)),
    asyncUrl: asyncUrl === undefined ? undefined : textOf(asyncUrl),
    slug: slugOf(slug),
  }
}

function parseKek({ label, bytes }: Readonly<Record<string, unknown>>): KitManifest['kek'] {
  if (bytes !== 16 && bytes !== 24 && bytes !== 32) throw new RangeError('bytes')
  return { label: textOf(label), bytes }
}

/** It becomes part of paths. */
function slugOf(value: unknown): string {
  const text = textOf(value)
  if (!/^[a-z0-9-]{1,64}$/.test(text)) throw new RangeError('slug')
  return text
}

function objectOf(value: unknown): Readonly<Record<string, unknown>> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw new RangeError('object')
  return value as Record<string, unknown>
}

function textOf(value: unknown): string {
  if (typeof value !== 'string' || value === '') throw new RangeError('text')
  return value
}
