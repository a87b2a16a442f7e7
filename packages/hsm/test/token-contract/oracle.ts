import { expect, it } from 'vitest'
import { aesCmac, keyUnwrap, keyWrap } from '../soft/crypto-oracle.ts'
import { hex } from './fixture.ts'

/** The oracle itself, against the RFCs' own values. */
export function oracleTests(): void {
  const cmacKey = hex('2b7e151628aed2a6abf7158809cf4f3c')
  const cmacMessage = hex(
    '6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e5130c81c46a35ce411e5fbc1191a0a52eff69f2445df4f9b17ad2b417be66c3710',
  )
  it.each([
    [0, 'bb1d6929e95937287fa37d129b756746'],
    [16, '070a16b46b4d4144f79bdd9dd04a287c'],
    [40, 'dfa66747de9ae63030ca32611497c827'],
    [64, '51f0bebf7e3b9d92fc49741779363cfe'],
  ])('agrees with RFC 4493 §4 for %i bytes', (length, expected) => {
    expect(aesCmac(cmacKey, cmacMessage.subarray(0, length)).toString('hex')).toBe(expected)
  })

  it.each([
    ['4.1', 16, 16, '1fa68b0a8112b447aef34bd8fb5a7b829d3e862371d2cfe5'],
    ['4.2', 24, 16, '96778b25ae6ca435f92b5b97c050aed2468ab8a17ad84e5d'],
    ['4.3', 32, 16, '64e8c3f9ce0f5ba263e9777905818a2a93c8191e7d6e8ae7'],
    ['4.6', 32, 32, '28c9f404c4b810f4cbccb35cfb87f8263f5786e2d80ed326cbc7f0e71a99f43bfb988b9b7a02dd21'],
  ])('agrees with RFC 3394 §%s', (_clause, kekBytes, keyBytes, expected) => {
    const kek = Buffer.from(Array.from({ length: kekBytes }, (_, i) => i))
    const key = hex('00112233445566778899aabbccddeeff000102030405060708090a0b0c0d0e0f').subarray(0, keyBytes)
    expect(keyWrap(kek, key).toString('hex')).toBe(expected)
    expect(keyUnwrap(kek, hex(expected))).toEqual(key)
  })
}
