import { readFileSync } from 'node:fs'
import { join } from 'node:path'

/**
 * Request and answer pairs that other projects publish with their test suites, as collected in `conformance-cases.json`.
 * The files are not part of this project: MORTISE_VECTORS names the directory where somebody has put them, and without
 * it no test of this folder runs.
 */

/** As peers write it; `KEKLabel` is absent or empty for a key in clear. */
export interface PublishedEnvelope {
  readonly KEKLabel?: string
  readonly AESKey: string
}

/** The device as the other implementation had it before the request. */
export interface PublishedDevice {
  readonly DevEUI: string
  readonly JoinEUI: string
  readonly MACVersion: string
  readonly AppKey?: string | null
  readonly NwkKey?: string | null
  readonly LastJoinNonce?: number | null
  readonly LastDevNonce?: number | null
  readonly UsedDevNonces?: readonly number[]
  readonly KEKs?: Readonly<Record<string, string>>
  /** The network that may activate it; null where none is recorded. */
  readonly NetID?: string | null
  /** NSID of that network. */
  readonly NSID?: string
  readonly forwardAppSKeyToNS?: boolean
}

/** Keys are named as on the wire; `"<…>"` stands for any value. */
export interface PublishedAnswer {
  readonly Result?: { readonly ResultCode: string }
  readonly PHYPayload?: string
  readonly NwkSKey?: PublishedEnvelope
  readonly FNwkSIntKey?: PublishedEnvelope
  readonly SNwkSIntKey?: PublishedEnvelope
  readonly NwkSEncKey?: PublishedEnvelope
  readonly AppSKey?: PublishedEnvelope | null
  readonly SessionKeyID?: string
  readonly HNetID?: string
  readonly HNSID?: string
  readonly ReceiverNSID?: string
}

export type PublishedRequest = Readonly<Record<string, unknown>> & {
  readonly MessageType?: string
  /** The body itself, where it is no JSON. */
  readonly raw?: string
}

export interface PublishedCase {
  readonly id: string
  /** `http`: a join server is asked. */
  readonly level: string
  readonly device: PublishedDevice | null
  readonly request: PublishedRequest | string | null
  readonly expected: PublishedAnswer
  /** Root keys that the other implementation really used, and the JoinNonce that it answered with. */
  readonly crypto?: {
    readonly nwkRoot: string
    readonly appRoot?: string
    readonly joinNonce?: number
    readonly noAnswerCrypto?: boolean
  }
  /** The JoinAccept for RxDelay 1, where the case has an RxDelay that the Backend Interfaces do not allow. */
  readonly derivedRxDelay1?: { readonly RxDelay: number; readonly PHYPayload: string }
  /** What the other implementation says to the same request once more. */
  readonly repeat?: string
  /** Who sent it: text for a peer that is trusted with everything. */
  readonly auth?: unknown
  readonly specExpected?: Readonly<Record<string, PublishedAnswerKeys>>
  readonly verified: boolean
}

/** Keys in clear. */
export type PublishedAnswerKeys = Readonly<Record<string, string>>

export function readPublished(file: 'lorawan.json' | 'conformance-cases.json'): unknown {
  const directory = process.env['MORTISE_VECTORS']
  if (directory === undefined) throw new Error('MORTISE_VECTORS must name the directory of the published vectors')
  return JSON.parse(readFileSync(join(directory, file), 'utf8'))
}

/** The JoinReq cases of which every cryptographic value has been recomputed by a third program. */
export function verifiedJoinReqCases(): PublishedCase[] {
  return publishedCases().filter(({ request, verified }) => verified && messageType(request) === 'JoinReq')
}

/** Every AppSKeyReq case, also one that is no JSON. */
export function appSKeyReqCases(): PublishedCase[] {
  return publishedCases().filter(({ request }) => messageType(request) === 'AppSKeyReq')
}

/** The HomeNSReq cases that ask a join server. */
export function homeNsReqCases(): PublishedCase[] {
  const asked = publishedCases().filter(({ level }) => level === 'http' || level === 'grpc-synth')
  return asked.filter(({ request }) => messageType(request) === 'HomeNSReq')
}

/** Here it is a whole answer: what the specification demands where the other implementation says something else. */
export type RejoinReqCase = Omit<PublishedCase, 'specExpected'> & { readonly specExpected: PublishedAnswer }

/** The RejoinReq cases of join servers. */
export function rejoinReqCases(): RejoinReqCase[] {
  const { cases } = readPublished('conformance-cases.json') as { cases: readonly RejoinReqCase[] }
  return cases.filter(({ request, level }) => level === 'http' && messageType(request) === 'RejoinReq')
}

/** Verified RejoinReq as a network server sends them; only their request can be had, for their answers hold made-up keys. */
export function sentRejoinReqCases(): PublishedCase[] {
  const sent = publishedCases().filter(({ level, verified }) => level === 'ns-client' && verified)
  return sent.filter(({ request }) => messageType(request) === 'RejoinReq')
}

/**
 * Every verified case with a request to a join server. Those of level `crypto` are values without a message: each of
 * them is in `lorawan.json` too.
 */
export function verifiedMessages(): PublishedCase[] {
  return publishedCases().filter(({ level, verified }) => verified && level !== 'crypto')
}

function publishedCases(): readonly PublishedCase[] {
  const { cases } = readPublished('conformance-cases.json') as { cases: readonly PublishedCase[] }
  return cases.map((one) => ({ ...one, request: bodyOf(one.request) }))
}

/** Some have the headers of the request beside its body. */
function bodyOf(request: PublishedCase['request']): PublishedCase['request'] {
  if (request === null || typeof request === 'string' || typeof request['body'] !== 'object') return request
  return request['body'] as PublishedRequest | null
}

function messageType(request: PublishedCase['request']): string | undefined {
  if (request === null || typeof request === 'string') return undefined
  return request.MessageType ?? /"MessageType":"(\w+)"/.exec(request.raw ?? '')?.[1]
}
