import { createRequire } from 'node:module'
import type declared from 'lora-packet'

/** An implementation of LoRaWAN by others, over AES by others: the independent oracle of these tests. */
export const loraPacket = createRequire(import.meta.url)('lora-packet') as (typeof declared)['default']

export interface OracleFrame {
  readonly direction: 'up' | 'down'
  readonly devAddr: string
  /** 32 bits. */
  readonly fCnt: number
  readonly fPort: number
  readonly appSKey: Uint8Array
}

/** FRMPayload crypted by lora-packet, which is the same in both senses. */
export function oracleCrypt(frame: OracleFrame, payload: Uint8Array): string {
  const fields = {
    MType: frame.direction === 'up' ? 'Unconfirmed Data Up' : 'Unconfirmed Data Down',
    DevAddr: Buffer.from(frame.devAddr, 'hex'),
    FCnt: frame.fCnt % 0x10000,
    FPort: frame.fPort,
    payload: Buffer.from(payload),
  }
  const high = Buffer.alloc(2)
  high.writeUInt16LE(Math.floor(frame.fCnt / 0x10000))
  const key = Buffer.from(frame.appSKey)
  const { FRMPayload } = loraPacket.fromFields(fields, key, key, undefined, high)
  if (FRMPayload === undefined) throw new Error('lora-packet made no FRMPayload')
  return FRMPayload.toString('hex')
}
