import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { inspect } from 'node:util'
import { describe, expect, test } from 'vitest'
import { searchFile } from './support/memory.ts'
import { SecretSearch } from './support/secret-search.ts'

/** The search on which the proofs rest finds a planted secret wherever it stands, and in each form; forms are made by Node. */
describe('the search finds', () => {
  const surround = (bytes: string | Buffer, before = randomBytes(1).readUInt8()): Buffer =>
    Buffer.concat([randomBytes(before), Buffer.from(bytes), randomBytes(40)])

  test.each<[string, (key: Buffer) => string | Buffer]>([
    ['raw', (key) => key],
    ['reversed', (key) => Buffer.from(key).reverse()],
    ['hex', (key) => key.toString('hex')],
    ['hex', (key) => key.toString('hex').toUpperCase()],
    ['hex', (key) => inspect(key)],
    ['hex', (key) => (key.toString('hex').match(/../g) ?? []).join(':').toUpperCase()],
    ['hex', (key) => (key.toString('hex').match(/../g) ?? []).map((digits) => `\\x${digits}`).join('')],
    ['hex, UTF-16', (key) => Buffer.from(key.toString('hex'), 'utf16le')],
    ['base64', (key) => key.toString('base64')],
    ['base64', (key) => key.toString('base64url')],
    ['base64', (key) => Buffer.concat([randomBytes(7), key, randomBytes(5)]).toString('base64')],
    ['base64', (key) => Buffer.concat([randomBytes(8), key, randomBytes(5)]).toString('base64url')],
    ['base64, UTF-16', (key) => Buffer.from(key.toString('base64'), 'utf16le')],
    ['decimal', (key) => JSON.stringify(key)],
    ['decimal', (key) => `Uint8Array(16) [ ${Array.from(key).join(', ')} ]`],
    ['reversed hex', (key) => Buffer.from(key).reverse().toString('hex')],
    ['reversed base64', (key) => Buffer.from(key).reverse().toString('base64')],
    ['UTF-16', (key) => Buffer.from(key.toString('latin1'), 'utf16le')],
  ])('a key as %s, at any place', (form, write) => {
    const expected = form.startsWith('reversed ') ? `key reversed (${form.slice(9)})` : `key (${form})`
    for (let before = 0; before < 40; before++) {
      const key = randomBytes(before % 2 === 0 ? 16 : 32)
      const search = new SecretSearch(
        new Map([
          ['key', key],
          ['other', randomBytes(16)],
        ]),
      )
      expect(search.find(surround(write(key), before))).toContain(expected)
      expect(search.find(surround(write(randomBytes(16)), before))).toEqual([])
    }
  })

  test('a key in PEM, over two lines', () => {
    const key = randomBytes(32)
    const pem = (randomBytes(34).toString('base64') + key.toString('base64')).match(/.{1,64}/g) ?? []
    expect(new SecretSearch(new Map([['key', key]])).findInText(pem.join('\n'))).toContain('key (base64)')
  })

  test('a key across the parts in which a large file is read', () => {
    const directory = mkdtempSync(join(tmpdir(), 'mortise-search-'))
    const key = randomBytes(16)
    const bytes = Buffer.alloc(40 * 1024 * 1024)
    key.copy(bytes, 16 * 1024 * 1024 - 5)
    writeFileSync(join(directory, 'large'), bytes)
    expect(searchFile(join(directory, 'large'), new SecretSearch(new Map([['key', key]])))).toEqual(['key (raw)'])
    rmSync(directory, { recursive: true })
  })

  test('no secret that is too short to be told from chance: it refuses it', () => {
    expect(() => new SecretSearch(new Map([['PIN', Buffer.from('648219')]]))).toThrow('too short')
  })
})
