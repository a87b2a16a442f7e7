import { type AppSKeyAns, type AppSKeyReqToSend, AnswerError } from '@mortise/backend-interfaces'
import { bytesToHex, type DevAddr } from '@mortise/lorawan'
import { AppSKeyClient, DeviceSessions, KekRing, type SessionStore, type UplinkEvent } from '../../src/index.ts'
import { wrap } from '../key-wrap.ts'
import { oracleCrypt } from '../lora-packet.ts'
import { DEV_ADDR, DEV_EUI, JOIN_EUI } from './announced.ts'

export const KEK = Buffer.alloc(16, 0x4b)
export const KEK_2 = Buffer.alloc(32, 0x22)

/** The AppSKey of session `number` of a device, as only the device and the join server know it. */
export function appSKeyOf(number: number): Buffer {
  return Buffer.alloc(16, number)
}

export function envelopeOf(number: number, kekLabel = 'as-1'): { kekLabel: string; aesKey: Uint8Array } {
  return { kekLabel, aesKey: wrap(kekLabel === 'as-1' ? KEK : KEK_2, appSKeyOf(number)) }
}

/** What a network tells with every event of session `number`, which began at that second. */
export function told(number: number) {
  return {
    devEui: DEV_EUI,
    devAddr: DEV_ADDR,
    joinEui: JOIN_EUI,
    sessionKeyId: Uint8Array.of(number),
    appSKey: envelopeOf(number),
    timeMs: number * 1000,
  }
}

/** An uplink of session `number`, encrypted by lora-packet. */
export function uplink(number: number, fCnt: number, text = 'open'): UplinkEvent & { fCnt: number } {
  const frmPayload = crypt(number, 'up', fCnt, Buffer.from(text))
  return { ...told(number), timeMs: number * 1000 + 500, fPort: 2, fCnt, frmPayload }
}

export function crypt(
  number: number,
  direction: 'up' | 'down',
  fCnt: number,
  bytes: Uint8Array,
  devAddr: DevAddr = DEV_ADDR,
): Uint8Array {
  const frame = { direction, devAddr, fCnt, fPort: 2, appSKey: appSKeyOf(number) }
  return Buffer.from(oracleCrypt(frame, bytes), 'hex')
}

export class JoinServer {
  readonly asked: string[] = []
  outcome: 'answer' | 'refuse' | 'unreachable' = 'answer'

  /** The far end of the Backend Interfaces; messages, TLS and HTTP have their own tests. */
  async appSKeyReq({ devEui, sessionKeyId }: AppSKeyReqToSend): Promise<AppSKeyAns> {
    this.asked.push(bytesToHex(sessionKeyId))
    await new Promise(setImmediate)
    if (this.outcome === 'unreachable') throw new AnswerError('connection', 'nobody listens')
    const base = { protocolVersion: '1.0' as const, transactionId: 1 }
    if (this.outcome === 'refuse') return { ...base, resultCode: 'UnknownDevEUI' }
    return { ...base, resultCode: 'Success', devEui, sessionKeyId, appSKey: envelopeOf(sessionKeyId[0] ?? 0) }
  }
}

export interface Owner {
  readonly sessions: DeviceSessions
  readonly joinServer: JoinServer
  readonly kekRing: KekRing
  nowMs: number
}

export function owner(store: SessionStore, keysFrom?: 'network' | 'join-server'): Owner {
  const kekRing = new KekRing()
  kekRing.add('as-1', KEK)
  const joinServer = new JoinServer()
  const appSKeyClient = new AppSKeyClient({ joinServer, kekRing, asId: 'as.example', protocolVersion: '1.0' })
  const one: Owner = {
    sessions: new DeviceSessions({ store, kekRing, appSKeyClient, keysFrom, now: () => one.nowMs }),
    joinServer,
    kekRing,
    nowMs: 1_800_000_000_000,
  }
  return one
}
