import { createCipheriv, createHash } from 'node:crypto'
import {
  bytesToHex,
  cryptFrmPayload,
  type DevAddr,
  type DevEui,
  hexToBytes,
  parseDevAddr,
  parseDevEui,
  parseJoinEui,
} from '@mortise/lorawan'
import { createBlockCipher } from '@mortise/lorawan/node-aes'
import { BridgeError } from '../../src/errors.ts'
import type { ClearPayload, EventShape, NetworkEvent, ReceivedEvent } from '../../src/network-event.ts'

/** A network of its own kind: events are JSON with the members that a network server tells. */

export const KEK = Buffer.alloc(16, 0x4b)
export const KEK_LABEL = 'as-1'
export const JOIN_EUI = parseJoinEui('70b3d57ed0000000')

export interface Told {
  readonly isClear?: boolean
  readonly kind: 'uplink' | 'join' | 'other'
  readonly id: string
  readonly devEui?: string
  readonly devAddr?: string
  readonly sessionKeyId?: string | undefined
  readonly appSKey?: { readonly kekLabel: string; readonly aesKey: string } | undefined
  readonly timeMs?: number
  readonly fPort?: number
  readonly fCnt?: number
  readonly fCnt16?: number
  readonly frmPayload?: string
  readonly profile?: string | undefined
  readonly address?: string
}

export function devEuiOf(device: number): DevEui {
  return parseDevEui((0x70b3d57e00000000n + BigInt(device)).toString(16))
}

export function devAddrOf(device: number): DevAddr {
  return parseDevAddr((0x26000000 + device).toString(16).padStart(8, '0'))
}

/** The AppSKey of a session, as the device and the join server know it. */
export function appSKeyOf(device: number, session: number): Buffer {
  return createHash('sha256').update(`AppSKey ${device} ${session}`).digest().subarray(0, 16)
}

/** RFC 3394 by OpenSSL, with the default IV. */
export function wrapped(key: Uint8Array, kek: Uint8Array = KEK): Uint8Array {
  return createCipheriv('id-aes128-wrap', kek, Buffer.alloc(8, 0xa6)).update(key)
}

export function crypt(device: number, session: number, direction: 'up' | 'down', fCnt: number, bytes: Uint8Array) {
  const cipher = createBlockCipher(appSKeyOf(device, session))
  return cryptFrmPayload(cipher, direction, devAddrOf(device), fCnt, bytes)
}

/** What a network tells with every event of a session; `key: false`: the SessionKeyID alone; `none`: neither. */
export function sessionOf(device: number, session: number, key: boolean | 'none' = true) {
  return {
    devEui: devEuiOf(device),
    devAddr: devAddrOf(device),
    sessionKeyId: key === 'none' ? undefined : Buffer.from([device & 0xff, session]).toString('hex'),
    appSKey:
      key === true ? { kekLabel: KEK_LABEL, aesKey: bytesToHex(wrapped(appSKeyOf(device, session))) } : undefined,
    timeMs: session * 1000,
    address: `network/${devEuiOf(device)}`,
  }
}

export interface UplinkOptions {
  readonly text?: string
  readonly copy?: number
  readonly key?: boolean | 'none'
  readonly fCnt16?: boolean
  readonly profile?: string
}

export function uplink(device: number, session: number, fCnt: number, options: UplinkOptions = {}): ReceivedEvent {
  const { text = `${device}/${session}/${fCnt}`, copy = 0, key = true, fCnt16 = false, profile } = options
  const frmPayload = bytesToHex(crypt(device, session, 'up', fCnt, Buffer.from(text)))
  return eventOf({
    kind: 'uplink',
    ...sessionOf(device, session, key),
    id: idOf(`${device} ${session} ${fCnt} ${copy}`),
    fPort: 2,
    frmPayload,
    profile,
    ...(fCnt16 ? { fCnt16: fCnt & 0xffff } : { fCnt }),
  })
}

export function join(device: number, session: number, copy = 0): ReceivedEvent {
  return eventOf({ kind: 'join', ...sessionOf(device, session), id: idOf(`join ${device} ${session} ${copy}`) })
}

export function other(name: string): ReceivedEvent {
  return eventOf({ kind: 'other', id: idOf(name) })
}

/** An uplink that the network tells in clear. */
export function clear(name: string): ReceivedEvent {
  return eventOf({ kind: 'other', id: idOf(name), isClear: true })
}

export function idOf(name: string): string {
  return createHash('sha256').update(name).digest('hex').slice(0, 32)
}

export function eventOf(told: Told): ReceivedEvent {
  return { topic: `network/${told.devEui ?? 'none'}/event/${told.kind}`, body: Buffer.from(JSON.stringify(told)) }
}

export const SHAPE: EventShape = { parse, fill }

function parse(event: ReceivedEvent): NetworkEvent {
  const told = read(event)
  const { id, kind, devEui, devAddr, timeMs = 0, address = '' } = told
  if (kind === 'other') return { kind, id, isClearUplink: told.isClear === true }
  if (devEui === undefined || devAddr === undefined) throw new BridgeError('event_malformed', 'No device.')
  const session = {
    devEui: parseDevEui(devEui),
    devAddr: parseDevAddr(devAddr),
    joinEui: JOIN_EUI,
    sessionKeyId: told.sessionKeyId === undefined ? undefined : hexToBytes(told.sessionKeyId),
    appSKey: told.appSKey && { kekLabel: told.appSKey.kekLabel, aesKey: hexToBytes(told.appSKey.aesKey) },
    timeMs,
  }
  const device = { id, devEui: session.devEui, address }
  if (kind === 'join') return { kind, ...device, session }
  const { fPort = 0, frmPayload = '', fCnt, fCnt16 = 0 } = told
  const counter = fCnt === undefined ? { fCnt16 } : { fCnt }
  const time = new Date(timeMs).toISOString()
  const encrypted = { ...session, fPort, frmPayload: hexToBytes(frmPayload), ...counter }
  return {
    kind,
    ...device,
    uplink: encrypted,
    time,
    rx: [{ gatewayId: 'gw-1', rssi: -90 }],
    deviceProfile: told.profile,
  }
}

function fill(event: ReceivedEvent, { data, object }: ClearPayload): Uint8Array {
  return Buffer.from(JSON.stringify({ ...read(event), frmPayload: undefined, data: bytesToHex(data), object }))
}

function read({ body }: ReceivedEvent): Told {
  try {
    return JSON.parse(Buffer.from(body).toString()) as Told
  } catch (cause) {
    throw new BridgeError('event_malformed', 'No JSON.', { cause })
  }
}
