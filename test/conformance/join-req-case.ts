import { createHash } from 'node:crypto'
import {
  decodeJoinRequest,
  hexToBytes,
  is11,
  type MacVersion,
  type NetId,
  parseDevEui,
  parseJoinEui,
  parseMacVersion,
  parseNetId,
} from '@mortise/lorawan'
import type { RootKeys } from '@mortise/simulator'
import { type AnsweredOtherwise, JOIN_REQ_ANSWERED_OTHERWISE } from './answered-otherwise.ts'
import { isWrapped, KEY_NAMES } from './answers.ts'
import type { CaseDevice, CaseKek, PeerName } from './case-server.ts'
import type { JoiningDevice } from './device-agrees.ts'
import type { Nonces } from './nonces.ts'
import type { PublishedCase, PublishedDevice, PublishedRequest } from './published-cases.ts'

/** A JoinReq case as it is run here. */
export interface JoinReqCase {
  readonly id: string
  readonly published: PublishedCase
  readonly otherwise: AnsweredOtherwise | undefined
  readonly device: CaseDevice
  readonly nonces: Nonces
  readonly request: PublishedRequest
  /** Whose certificate is shown. */
  readonly caller: PeerName
  readonly nsKek: CaseKek | undefined
  readonly asKek: CaseKek | undefined
  readonly joining: JoiningDevice
  /** PHYPayload of the answer, lower-case hex, where one is published. */
  readonly phyPayload: string | undefined
}

/** The label of an AppSKey that is published in clear: here it always travels under a KEK of its application server. */
const OUR_LABEL = 'conformance'
/** What a network server of these cases puts in the place of `<random>`. */
const RANDOM = { TransactionID: 0xfffffffe, DevAddr: '01020304' }
/** An AppKey that the case does not have, because nothing that it publishes depends on it. */
const ANY_APP_KEY = 'a5'.repeat(16)
const MAX_RX_DELAY = 15
/** The network that calls where the case says that somebody else does. */
export const OTHER_NETWORK: PeerName = { kind: 'ns', id: '000013' }

export function joinReqCase(published: PublishedCase): JoinReqCase {
  const request = requestOf(published)
  const macVersion = parseMacVersion(published.device?.MACVersion ?? text(request, 'MACVersion'))
  const nsId = parseNetId(text(request, 'SenderID'))
  const identity = {
    devEui: parseDevEui(text(request, 'DevEUI')),
    joinEui: parseJoinEui(text(request, 'ReceiverID')),
    macVersion,
  }
  const rootKeys = rootKeysOf(published, macVersion)
  const asKek = asKekOf(published)
  const otherwise = JOIN_REQ_ANSWERED_OTHERWISE[published.id]
  const { devNonce } = decodeJoinRequest(hexToBytes(text(request, 'PHYPayload')))
  return {
    id: published.id,
    published,
    otherwise,
    device: {
      ...identity,
      rootKeys,
      applicationServers: asKek ? [asKek.id] : [],
      networks: networksOf(published, nsId),
    },
    nonces: noncesOf(published.device),
    request,
    caller: isUnknownSender(otherwise) ? OTHER_NETWORK : { kind: 'ns', id: nsId },
    nsKek: nsKekOf(published, nsId),
    asKek,
    joining: { identity, rootKeys, devNonce },
    phyPayload: (published.derivedRxDelay1 ?? published.expected).PHYPayload?.toLowerCase(),
  }
}

/**
 * Rounds of cases that do not get into each other's way: most have the EUIs of another one, and the device of the round
 * before is removed. A network that has a KEK in one case and none in another gets it after those.
 */
export function roundsOf(cases: readonly JoinReqCase[]): JoinReqCase[][] {
  const clearFirst = cases.toSorted((a, b) => Number(a.nsKek !== undefined) - Number(b.nsKek !== undefined))
  const rounds: JoinReqCase[][] = []
  const sameDevice = Map.groupBy(clearFirst, ({ device }) => device.devEui)
  for (const group of sameDevice.values()) for (const [index, one] of group.entries()) (rounds[index] ??= []).push(one)
  return rounds
}

export function peersOf(cases: readonly JoinReqCase[]): PeerName[] {
  const netIds = new Set(cases.map(({ request }) => parseNetId(text(request, 'SenderID'))))
  return [...Array.from(netIds, (id): PeerName => ({ kind: 'ns', id })), OTHER_NETWORK]
}

/** What another program chose at random is filled in. */
export function requestOf({ request, derivedRxDelay1 }: PublishedCase): PublishedRequest {
  if (request === null || typeof request === 'string') throw new Error('not a request')
  const members = Object.entries(request).map(([name, value]) => [
    name,
    typeof value === 'string' && value.startsWith('<random') ? RANDOM[name as keyof typeof RANDOM] : value,
  ])
  const filled = Object.fromEntries(members) as PublishedRequest
  // RxDelay has four bits; what is above belongs to tests that call the join server without the Backend Interfaces.
  const legal = typeof request['RxDelay'] === 'number' && request['RxDelay'] <= MAX_RX_DELAY
  return legal ? filled : { ...filled, RxDelay: derivedRxDelay1?.RxDelay ?? 1 }
}

/**
 * The root keys that the other implementation really used: some keep the AppKey of a 1.0.x device as NwkKey, and The
 * Things Stack uses a NwkKey that it has for both.
 */
function rootKeysOf({ crypto, device }: PublishedCase, macVersion: MacVersion): RootKeys {
  if (crypto === undefined) throw new Error('a verified case names its root keys')
  const networkRoot = hexToBytes(crypto.nwkRoot)
  if (!is11(macVersion)) return { appKey: networkRoot }
  return { appKey: hexToBytes(device?.AppKey ?? ANY_APP_KEY), nwkKey: networkRoot }
}

function networksOf({ device, auth }: PublishedCase, senderId: NetId): NetId[] {
  if (typeof device?.NetID === 'string') return [parseNetId(device.NetID)]
  const trustedWithEverything = typeof auth !== 'object'
  return trustedWithEverything ? [senderId] : []
}

function noncesOf(device: PublishedDevice | null): Nonces {
  const last = device?.LastDevNonce ?? undefined
  return {
    lastJoinNonce: device?.LastJoinNonce ?? 0,
    usedDevNonces: [...(device?.UsedDevNonces ?? []), ...(last === undefined ? [] : [last])],
  }
}

function nsKekOf({ expected, device }: PublishedCase, id: NetId): CaseKek | undefined {
  const label = KEY_NAMES.filter((name) => name !== 'AppSKey')
    .map((name) => expected[name])
    .find((envelope) => envelope !== undefined && isWrapped(envelope))?.KEKLabel
  return label === undefined ? undefined : { kind: 'ns', id, label, key: kekOf(device, label) }
}

/** Every label has an application server of its own; none where the case keeps the AppSKey to itself. */
function asKekOf({ expected, device }: PublishedCase): CaseKek | undefined {
  const { AppSKey } = expected
  if (AppSKey === null) return undefined
  const label = AppSKey !== undefined && isWrapped(AppSKey) ? AppSKey.KEKLabel! : OUR_LABEL
  return { kind: 'as', id: `as-of-${label}`, label, key: kekOf(device, label) }
}

/** A KEK that the case does not publish is ours. */
export function kekOf(device: PublishedDevice | null, label: string): Buffer {
  const published = device?.KEKs?.[label]
  return published === undefined ? createHash('sha256').update(label).digest() : Buffer.from(published, 'hex')
}

function isUnknownSender(otherwise: AnsweredOtherwise | undefined): boolean {
  const instead = otherwise?.instead
  return instead !== undefined && 'refuses' in instead && instead.refuses === 'UnknownSender'
}

function text(request: PublishedRequest, name: string): string {
  const value = request[name]
  if (typeof value !== 'string') throw new Error(`${name} of the request`)
  return value
}
