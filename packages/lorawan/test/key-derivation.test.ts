import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  bytesToHex,
  hexToBytes,
  jsKeyBlock,
  KEY_TYPE,
  MAX_DEV_NONCE,
  MAX_JOIN_NONCE,
  parseDevEui,
  parseJoinEui,
  parseNetId,
  sessionKeyBlock10,
  sessionKeyBlock11,
} from '../src/index.ts'
import { createBlockCipher } from '../src/node-aes.ts'
import { bigEndian, buffer, devEui, hexOf, joinEui, key, netId, uint16, uint24 } from './arbitraries.ts'
import { codeThrownBy } from './errors.ts'
import { loraPacket } from './lora-packet.ts'

function derive(rootKey: Uint8Array, block: Uint8Array): string {
  return bytesToHex(createBlockCipher(rootKey).encryptBlock(block))
}

describe('the derivation blocks', () => {
  test('have every value little-endian and zeros behind', () => {
    expect(bytesToHex(sessionKeyBlock10(0x02, 0x010203, parseNetId('040506'), 0x0708))).toBe(
      '02' + '030201' + '060504' + '0807' + '00'.repeat(7),
    )
    expect(bytesToHex(sessionKeyBlock11(0x04, 0x010203, parseJoinEui('1112131415161718'), 0x0708))).toBe(
      '04' + '030201' + '1817161514131211' + '0807' + '00'.repeat(2),
    )
    expect(bytesToHex(jsKeyBlock(0x06, parseDevEui('1112131415161718')))).toBe(
      '06' + '1817161514131211' + '00'.repeat(7),
    )
  })

  test('give the session keys of 1.0 that lora-packet derives', () => {
    fc.assert(
      fc.property(key, uint24, netId, uint16, (appKey, joinNonce, net, devNonce) => {
        const theirs = loraPacket.generateSessionKeys10(
          buffer(appKey),
          Buffer.from(net, 'hex'),
          bigEndian(3, joinNonce),
          bigEndian(2, devNonce),
        )
        expect(derive(appKey, sessionKeyBlock10(KEY_TYPE.fNwkSIntKey, joinNonce, net, devNonce))).toBe(
          hexOf(theirs.NwkSKey),
        )
        expect(derive(appKey, sessionKeyBlock10(KEY_TYPE.appSKey, joinNonce, net, devNonce))).toBe(
          hexOf(theirs.AppSKey),
        )
      }),
    )
  })

  test('give the session keys of 1.1 that lora-packet derives', () => {
    fc.assert(
      fc.property(key, key, uint24, joinEui, uint16, (appKey, nwkKey, joinNonce, eui, devNonce) => {
        const theirs = loraPacket.generateSessionKeys11(
          buffer(appKey),
          buffer(nwkKey),
          Buffer.from(eui, 'hex'),
          bigEndian(3, joinNonce),
          bigEndian(2, devNonce),
        )
        const block = (type: 0x01 | 0x02 | 0x03 | 0x04) => sessionKeyBlock11(type, joinNonce, eui, devNonce)
        expect(derive(nwkKey, block(KEY_TYPE.fNwkSIntKey))).toBe(hexOf(theirs.FNwkSIntKey))
        expect(derive(nwkKey, block(KEY_TYPE.sNwkSIntKey))).toBe(hexOf(theirs.SNwkSIntKey))
        expect(derive(nwkKey, block(KEY_TYPE.nwkSEncKey))).toBe(hexOf(theirs.NwkSEncKey))
        expect(derive(appKey, block(KEY_TYPE.appSKey))).toBe(hexOf(theirs.AppSKey))
      }),
    )
  })

  test('give the JSIntKey and JSEncKey that lora-packet derives', () => {
    fc.assert(
      fc.property(key, devEui, (nwkKey, eui) => {
        const theirs = loraPacket.generateJSKeys(buffer(nwkKey), Buffer.from(eui, 'hex'))
        expect(derive(nwkKey, jsKeyBlock(KEY_TYPE.jsIntKey, eui))).toBe(hexOf(theirs.JSIntKey))
        expect(derive(nwkKey, jsKeyBlock(KEY_TYPE.jsEncKey, eui))).toBe(hexOf(theirs.JSEncKey))
      }),
    )
  })

  test('give the published keys of a join of 1.0.x (anthonykirby/lora-packet issue 10)', () => {
    const appKey = hexToBytes('b6b53f4a168a7a88bdf7ea135ce9cfca')
    const block = (type: 0x01 | 0x02) => sessionKeyBlock10(type, 0xe5063a, parseNetId('000013'), 0xcc85)
    expect(derive(appKey, block(KEY_TYPE.fNwkSIntKey))).toBe('2c96f7028184bb0be8aa49275290d4fc')
    expect(derive(appKey, block(KEY_TYPE.appSKey))).toBe('f3a5c8f0232a38c144029c165865802c')
  })

  test('give the published keys of a join of 1.1 (brocaar/lorawan, joinserver_test.go)', () => {
    const nwkKey = hexToBytes('01020304050607080102030405060708')
    const appKey = new Uint8Array(16)
    const block = (type: 0x01 | 0x02 | 0x03 | 0x04) =>
      sessionKeyBlock11(type, 0x010000, parseJoinEui('0807060504030201'), 0x0102)
    expect(derive(nwkKey, block(KEY_TYPE.fNwkSIntKey))).toBe('537f8aae896c79e015d102d06286354e')
    expect(derive(nwkKey, block(KEY_TYPE.sNwkSIntKey))).toBe('589498993092cfdb5fd2e02ac7510bf1')
    expect(derive(nwkKey, block(KEY_TYPE.nwkSEncKey))).toBe('9898283c4f66eb6c6fd5165882046c40')
    expect(derive(appKey, block(KEY_TYPE.appSKey))).toBe('01621215d1ca08febf0c602cc2ad90fa')
  })

  test('take the largest nonces and none beyond, rather than cut them to size', () => {
    const net = parseNetId('000013')
    const eui = parseJoinEui('0102030405060708')
    expect(codeThrownBy(() => sessionKeyBlock10(0x01, MAX_JOIN_NONCE, net, MAX_DEV_NONCE))).toBeUndefined()
    expect(codeThrownBy(() => sessionKeyBlock10(0x01, MAX_JOIN_NONCE + 1, net, 0))).toBe('frame_field')
    expect(codeThrownBy(() => sessionKeyBlock10(0x01, 0, net, MAX_DEV_NONCE + 1))).toBe('frame_field')
    expect(codeThrownBy(() => sessionKeyBlock11(0x01, MAX_JOIN_NONCE, eui, MAX_DEV_NONCE))).toBeUndefined()
    expect(codeThrownBy(() => sessionKeyBlock11(0x01, MAX_JOIN_NONCE + 1, eui, 0))).toBe('frame_field')
    expect(codeThrownBy(() => sessionKeyBlock11(0x01, 0, eui, MAX_DEV_NONCE + 1))).toBe('frame_field')
  })
})
