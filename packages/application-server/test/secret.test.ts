import { inspect } from 'node:util'
import { describe, expect, test } from 'vitest'
import { AppSKey, Secret } from '../src/index.ts'
import { codeOf } from './errors.ts'

const BYTES = Uint8Array.from({ length: 16 }, (_, index) => 0xa0 + index)

describe('a secret', () => {
  test.each([
    ['JSON', (secret: Secret) => JSON.stringify({ secret })],
    ['text', (secret: Secret) => String(secret)],
    ['inspection', (secret: Secret) => inspect({ secret }, { showHidden: true, depth: 9 })],
    ['its own properties', (secret: Secret) => JSON.stringify(Object.getOwnPropertyNames(secret))],
    ['a structured clone', (secret: Secret) => inspect(structuredClone({ secret }))],
  ])('does not show its bytes in %s', (_, show) => {
    const shown = show(new AppSKey(BYTES))
    for (const needle of ['a0a1a2', '160, 161', '160,161', 'a0 a1', Buffer.from(BYTES).toString('base64')]) {
      expect(shown).not.toContain(needle)
    }
  })

  test('lends its bytes until it is disposed, and wipes them then', async () => {
    const secret = new Secret(BYTES)
    let lent: Uint8Array = new Uint8Array()
    secret.use((bytes) => (lent = bytes))
    expect(lent).toEqual(BYTES)
    secret[Symbol.dispose]()
    expect(lent).toEqual(new Uint8Array(16))
    expect(await codeOf(() => secret.use((bytes) => bytes))).toBe('secret_disposed')
  })

  test('has memory of its own', () => {
    const source = Uint8Array.from(BYTES)
    const secret = new Secret(source)
    source.fill(0)
    secret.use((bytes) => {
      expect(bytes).toEqual(BYTES)
    })
  })

  test.each([0, 15, 17, 24])('is no AppSKey with %i bytes', async (size) => {
    expect(await codeOf(() => new AppSKey(new Uint8Array(size)))).toBe('app_s_key_size')
    expect(await codeOf(() => new AppSKey(BYTES))).toBeUndefined()
  })
})
