import { parseDevAddr } from '@mortise/lorawan'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { AppSKey, type EncryptedUplink, MAX_F_CNT_GAP, Session, type SessionOptions } from '../src/index.ts'
import { codeOf } from './errors.ts'
import { oracleCrypt } from './lora-packet.ts'

const DEV_ADDR = parseDevAddr('26012e43')
const APP_S_KEY = Buffer.from('ec925802ae430ca77fd3dd73cb2cc588', 'hex')
const MAX = 0xffff_ffff

function session(counters: Partial<SessionOptions> = {}): Session {
  return new Session({ devAddr: DEV_ADDR, appSKey: new AppSKey(APP_S_KEY), ...counters })
}

/** Made by lora-packet. */
function uplink(fCnt: number, payload = 'open'): EncryptedUplink & { fCnt: number } {
  return { fPort: 2, fCnt, frmPayload: frmPayload('up', 2, fCnt, Buffer.from(payload)) }
}

/** The same with the 16 bits on air alone. */
function onAir(fCnt: number, payload = 'open'): EncryptedUplink {
  return { fPort: 2, fCnt16: fCnt % 0x10000, frmPayload: frmPayload('up', 2, fCnt, Buffer.from(payload)) }
}

function frmPayload(direction: 'up' | 'down', fPort: number, fCnt: number, payload: Uint8Array): Buffer {
  return Buffer.from(oracleCrypt({ direction, devAddr: DEV_ADDR, fCnt, fPort, appSKey: APP_S_KEY }, payload), 'hex')
}

function text(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString()
}

describe('an uplink', () => {
  test('of any size, port and counter is decrypted as lora-packet encrypts it', () => {
    const anyPayload = fc.uint8Array({ minLength: 1, maxLength: 222 })
    fc.assert(
      fc.property(anyPayload, fc.integer({ min: 1, max: 255 }), fc.nat(MAX), (payload, fPort, fCnt) => {
        const encrypted = { fPort, fCnt, frmPayload: frmPayload('up', fPort, fCnt, payload) }
        expect(session().decryptUplink(encrypted)).toEqual({ fPort, fCnt, payload })
      }),
      { numRuns: 50 },
    )
  })

  test.each([
    ['the same again', 10, uplink(10)],
    ['an older one', 10, uplink(9)],
    ['the same 16 bits again', 10, onAir(10)],
    ['an older one on air, which is no roll-over', 10, onAir(9)],
    ['an old one of the turn before', 0x10005, onAir(0xfff0)],
    ['the last counter of all again', MAX, uplink(MAX)],
    ['a roll-over of the 32 bits', MAX, onAir(0)],
  ])('is refused when it is %s, and changes nothing', async (_, last, encrypted) => {
    const refusing = session({ lastFCntUp: last })
    expect(await codeOf(() => refusing.decryptUplink(encrypted))).toBe('f_cnt_replayed')
    expect(refusing.lastFCntUp).toBe(last)
  })

  test.each([
    ['the next one', 10, uplink(11)],
    ['one after a long silence', 10, uplink(3_000_000)],
    ['the first one', undefined, uplink(0)],
    ['the next one on air', 10, onAir(11)],
    ['the roll-over at 0xffff', 0xffff, onAir(0x10000)],
    ['a roll-over with frames lost', 0xfffe, onAir(0x10002)],
    ['a later roll-over', 0x2ffff, onAir(0x30000)],
    ['the widest gap on air', 10, onAir(10 + MAX_F_CNT_GAP)],
    ['the last counter of all', MAX - 1, uplink(MAX)],
  ])('is decrypted when it is %s', (_, last, encrypted) => {
    const accepting = session(last === undefined ? {} : { lastFCntUp: last })
    const { payload, fCnt } = accepting.decryptUplink(encrypted)
    expect(text(payload)).toBe('open')
    expect(accepting.lastFCntUp).toBe(fCnt)
  })

  test('on air may not jump further than MAX_FCNT_GAP, with its full counter it may', async () => {
    const tooFar = 11 + MAX_F_CNT_GAP
    expect(await codeOf(() => session({ lastFCntUp: 10 }).decryptUplink(onAir(tooFar)))).toBe('f_cnt_replayed')
    expect(text(session({ lastFCntUp: 10 }).decryptUplink(uplink(tooFar)).payload)).toBe('open')
  })

  test.each([
    ['FPort 0, which is the network’s', { ...uplink(1), fPort: 0 }, 'f_port_not_application'],
    ['FPort 256', { ...uplink(1), fPort: 256 }, 'f_port_not_application'],
    ['FPort 1.5', { ...uplink(1), fPort: 1.5 }, 'f_port_not_application'],
    ['a counter of 33 bits', { ...uplink(1), fCnt: MAX + 1 }, 'f_cnt_invalid'],
    ['a negative counter', { ...uplink(1), fCnt: -1 }, 'f_cnt_invalid'],
    ['17 bits on air', { fPort: 2, fCnt16: 0x10000, frmPayload: Buffer.alloc(1) }, 'f_cnt_invalid'],
    ['more than a frame can carry', { ...uplink(1), frmPayload: Buffer.alloc(243) }, 'payload_size'],
  ])('with %s is refused, and changes nothing', async (_, encrypted, code) => {
    const refusing = session()
    expect(await codeOf(() => refusing.decryptUplink(encrypted))).toBe(code)
    expect(refusing.lastFCntUp).toBeUndefined()
    expect(text(refusing.decryptUplink(uplink(1)).payload)).toBe('open')
  })

  test('gives noise under another AppSKey, because LoRaWAN has no MIC for the application', () => {
    const other = new Session({ devAddr: DEV_ADDR, appSKey: new AppSKey(Buffer.alloc(16, 7)) })
    expect(text(other.decryptUplink(uplink(1)).payload)).not.toBe('open')
  })
})

describe('a downlink', () => {
  test('is encrypted as lora-packet does it, each under a counter of its own', () => {
    const sending = session({ nextFCntDown: 0xffff })
    for (const fCnt of [0xffff, 0x10000, 0x10001]) {
      expect(sending.encryptDownlink({ fPort: 7, payload: Buffer.from('lock') })).toEqual({
        fPort: 7,
        fCnt,
        frmPayload: new Uint8Array(frmPayload('down', 7, fCnt, Buffer.from('lock'))),
      })
    }
  })

  test('follows the counter of the network when that is ahead, and never goes back', () => {
    const sending = session()
    const send = (networkNext?: number) =>
      sending.encryptDownlink({ fPort: 1, payload: Buffer.from('x') }, networkNext).fCnt
    expect([send(), send(5), send(2), send()]).toEqual([0, 5, 6, 7])
    expect(sending.nextFCntDown).toBe(8)
  })

  test('is refused when the counter is used up, and not before', async () => {
    const ending = session({ nextFCntDown: MAX })
    const send = () => ending.encryptDownlink({ fPort: 1, payload: Buffer.from('x') })
    expect(send().fCnt).toBe(MAX)
    expect(await codeOf(send)).toBe('f_cnt_exhausted')
    expect(await codeOf(() => session({ nextFCntDown: ending.nextFCntDown }))).toBeUndefined()
  })

  test.each([
    ['FPort 0', { fPort: 0, payload: Buffer.from('x') }, 'f_port_not_application'],
    ['243 bytes', { fPort: 1, payload: Buffer.alloc(243) }, 'payload_size'],
  ])('with %s is refused and uses no counter', async (_, clear, code) => {
    const sending = session()
    expect(await codeOf(() => sending.encryptDownlink(clear))).toBe(code)
    expect(sending.encryptDownlink({ fPort: 1, payload: Buffer.alloc(242) }).fCnt).toBe(0)
  })
})

describe('a session', () => {
  test.each([{ lastFCntUp: -1 }, { lastFCntUp: MAX + 1 }, { nextFCntDown: 1.5 }, { nextFCntDown: MAX + 2 }])(
    'does not begin with %o',
    async (counters) => {
      expect(await codeOf(() => session(counters))).toBe('f_cnt_invalid')
      expect(await codeOf(() => session({ lastFCntUp: MAX, nextFCntDown: MAX }))).toBeUndefined()
    },
  )

  test('that has ended has no key any more', async () => {
    const ended = session()
    ended[Symbol.dispose]()
    expect(await codeOf(() => ended.decryptUplink(uplink(1)))).toBe('secret_disposed')
    expect(ended.lastFCntUp).toBeUndefined()
  })
})
