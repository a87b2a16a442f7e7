import { describe, expect, test } from 'vitest'
import { devNonceRule, is11, MAC_VERSIONS, parseMacVersion } from '../src/index.ts'
import { codeThrownBy } from './errors.ts'

describe('a LoRaWAN version', () => {
  test.each(MAC_VERSIONS)('%s is itself', (version) => {
    expect(parseMacVersion(version)).toBe(version)
  })

  test.each([
    ['1.0', '1.0.0'],
    ['1.1', '1.1.0'],
  ])('%s is short for %s, as The Things Stack writes it', (short, version) => {
    expect(parseMacVersion(short)).toBe(version)
  })

  test.each([
    '',
    '1',
    '1.0.',
    '1.0.5',
    '1.1.1',
    '1.2',
    '2.0',
    ' 1.0.3',
    '1.0.3 ',
    '1.0.3\n',
    '01.0.3',
    'constructor',
    '__proto__',
  ])('refuses %j', (text) => {
    expect(codeThrownBy(() => parseMacVersion(text))).toBe('mac_version_unknown')
  })

  test('has the 1.1 key scheme from 1.1.0 on', () => {
    expect(MAC_VERSIONS.filter(is11)).toEqual(['1.1.0'])
  })

  test('counts its DevNonce from 1.0.4 on', () => {
    expect(MAC_VERSIONS.map(devNonceRule)).toEqual(['random', 'random', 'random', 'random', 'counter', 'counter'])
  })
})
