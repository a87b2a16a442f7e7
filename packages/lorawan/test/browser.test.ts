import { readdirSync, readFileSync } from 'node:fs'
import { expect, test } from 'vitest'

const SRC = new URL('../src/', import.meta.url)
const FILES = readdirSync(SRC).filter((name) => name.endsWith('.ts'))

/** What ties a source to Node, or to a package of others. */
function foreignParts(name: string): string[] {
  const source = readFileSync(new URL(name, SRC), 'utf8').replace(/\/\*[\s\S]*?\*\/|\/\/.*/g, '')
  return [...source.matchAll(/from '(?!\.\/)[^']+'|import\(|\b(?:Buffer|process|globalThis)\b/g)].map(
    (match) => match[0],
  )
}

test('everything but node-aes runs in a browser: no node: module, no Buffer, no dependency', () => {
  expect(FILES).toContain('index.ts')
  for (const name of FILES.filter((file) => file !== 'node-aes.ts'))
    expect([name, foreignParts(name)]).toEqual([name, []])
})

test('node-aes is what the search finds, and the index does not lead to it', () => {
  expect(foreignParts('node-aes.ts')).toContain("from 'node:crypto'")
  for (const name of FILES) expect(readFileSync(new URL(name, SRC), 'utf8')).not.toContain("from './node-aes.ts'")
})
