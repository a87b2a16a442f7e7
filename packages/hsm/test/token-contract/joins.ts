import { randomBytes } from 'node:crypto'
import { expect, it } from 'vitest'
import type { Token, TokenKey } from '../../src/token/token.ts'
import { aesBlock, aesCmac, aesDecrypt, keyWrap } from '../soft/crypto-oracle.ts'
import { block, derived, hex, importAndOpen, importAndOpenKek, storageKey, type TokenFixture } from './fixture.ts'

/** Whole joins: published captures, and random ones as the oracle answers them. */
export function joinTests(fixture: () => TokenFixture): void {
  it('answers the published LoRaWAN 1.0 capture (anthonykirby/lora-packet issue 10)', () => {
    const { token } = fixture()
    const root = importAndOpen(fixture(), hex('b6b53f4a168a7a88bdf7ea135ce9cfca'))
    const body = hex('203a06e5130000432e01260301184f84e85684b85e84886684586e8400')
    const mic = token.cmac(root, body).subarray(0, 4)
    const encrypted = token.decryptBlocks(root, Buffer.concat([body.subarray(1), mic]))
    expect(token.cmac(root, hex('00dc0000d07ed5b3701e6fedf57ceeaf0085cc')).toString('hex', 0, 4)).toBe('587fe913')
    expect(encrypted.toString('hex')).toBe('4dd85ae608b87fc4889970b7d2042c9e72959b0057aed6094b16003df12de145')
    expect(derived(token, root, block('01', '3a06e5', '130000', '85cc'))).toBe('2c96f7028184bb0be8aa49275290d4fc')
    expect(derived(token, root, block('02', '3a06e5', '130000', '85cc'))).toBe('f3a5c8f0232a38c144029c165865802c')
  })

  it('derives the LoRaWAN 1.1 keys of brocaar/lorawan backend/joinserver/joinserver_test.go', () => {
    const { token } = fixture()
    const nwkKey = importAndOpen(fixture(), hex('01020304050607080102030405060708'))
    const appKey = importAndOpen(fixture(), Buffer.alloc(16))
    const rest = ['000001', '0102030405060708', '0201'] as const
    expect(derived(token, nwkKey, block('01', ...rest))).toBe('537f8aae896c79e015d102d06286354e')
    expect(derived(token, nwkKey, block('03', ...rest))).toBe('589498993092cfdb5fd2e02ac7510bf1')
    expect(derived(token, nwkKey, block('04', ...rest))).toBe('9898283c4f66eb6c6fd5165882046c40')
    expect(derived(token, appKey, block('02', ...rest))).toBe('01621215d1ca08febf0c602cc2ad90fa')
  })

  // LoRaWAN 1.1 §6.2.5: with OptNeg 0 a 1.1 device derives every session key, AppSKey too, from NwkKey.
  it('goes through a whole join as the oracle does: 1.0.x, and 1.1 with OptNeg 0', () => {
    const { token } = fixture()
    const rootBytes = randomBytes(16)
    const keks = importKeks(fixture())
    const root = importAndOpen(fixture(), rootBytes)
    checkMicAndAccept(token, root, rootBytes)
    const accept = randomBytes(29)
    expect(token.cmac(root, accept)).toEqual(aesCmac(rootBytes, accept))
    checkDelivery(token, root, rootBytes, keks.ns, ['01'])
    checkDelivery(token, root, rootBytes, keks.as, ['02'])
    checkStorage(fixture(), root, rootBytes)
    token.close(root)
  })

  it('goes through a whole join as the oracle does: 1.1 with OptNeg 1', () => {
    const { token } = fixture()
    const nwkBytes = randomBytes(16)
    const appBytes = randomBytes(16)
    const keks = importKeks(fixture())
    const nwkKey = importAndOpen(fixture(), nwkBytes)
    const appKey = importAndOpen(fixture(), appBytes)
    checkMicAndAccept(token, nwkKey, nwkBytes)
    const jsIntKey = token.derive(nwkKey, block('06', '0807060504030201'), 'mac')
    const accept = randomBytes(40)
    expect(token.cmac(jsIntKey, accept)).toEqual(aesCmac(aesBlock(nwkBytes, block('06', '0807060504030201')), accept))
    checkDelivery(token, nwkKey, nwkBytes, keks.ns, ['01', '03', '04'])
    checkDelivery(token, appKey, appBytes, keks.as, ['02'])
    checkStorage(fixture(), appKey, appBytes)
    for (const key of [jsIntKey, nwkKey, appKey]) token.close(key)
  })

  it('encrypts a rejoin-accept under JSEncKey (a key derived with use decrypt)', () => {
    const { token } = fixture()
    const rootBytes = randomBytes(16)
    const root = importAndOpen(fixture(), rootBytes)
    const input = block('05', '0807060504030201')
    const jsEncKey = token.derive(root, input, 'decrypt')
    const plain = randomBytes(16)
    expect(token.decryptBlocks(jsEncKey, plain)).toEqual(aesDecrypt(aesBlock(rootBytes, input), plain))
  })
}

interface Kek {
  readonly bytes: Buffer
  readonly key: TokenKey
}

function importKeks(fixture: TokenFixture): { ns: Kek; as: Kek } {
  const [ns, as] = [randomBytes(32), randomBytes(16)]
  return {
    ns: { bytes: ns, key: importAndOpenKek(fixture, ns) },
    as: { bytes: as, key: importAndOpenKek(fixture, as) },
  }
}

function checkMicAndAccept(token: Token, root: TokenKey, rootBytes: Buffer): void {
  const request = randomBytes(19)
  const accept = randomBytes(32)
  expect(token.cmac(root, request)).toEqual(aesCmac(rootBytes, request))
  expect(token.decryptBlocks(root, accept)).toEqual(aesDecrypt(rootBytes, accept))
}

function checkDelivery(token: Token, root: TokenKey, rootBytes: Buffer, kek: Kek, types: string[]): void {
  for (const type of types) {
    const input = block(type, randomBytes(8).toString('hex'))
    const key = token.derive(root, input, 'wrap')
    expect(token.wrap(kek.key, key)).toEqual(keyWrap(kek.bytes, aesBlock(rootBytes, input)))
    token.close(key)
  }
}

/** Once for an AppSKey that is wrapped, once for one that the network reads. */
function checkStorage(fixture: TokenFixture, root: TokenKey, rootBytes: Buffer): void {
  const { token } = fixture
  for (const use of ['wrap', 'read'] as const) {
    const key = token.derive(root, block('02'), use)
    expect(token.wrapForStorage(key)).toEqual(keyWrap(storageKey(fixture, 'session'), aesBlock(rootBytes, block('02'))))
    token.close(key)
  }
}
