import { readdirSync, readFileSync } from 'node:fs'
import { join, relative, sep } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'

/** The rules of docs/architecture.md that a reader of the tree relies on. */
const PACKAGES = fileURLToPath(new URL('../packages', import.meta.url))

/** What each workspace may import, beside Node itself and what its package.json lists. */
const WORKSPACES: Record<string, readonly string[]> = {
  lorawan: [],
  'backend-interfaces': ['lorawan'],
  hsm: ['lorawan'],
  'application-server': ['lorawan', 'backend-interfaces'],
  // The simulator plays the owner's side too, with the library that owners use.
  simulator: ['lorawan', 'backend-interfaces', 'application-server'],
  server: ['lorawan', 'backend-interfaces', 'hsm'],
  cli: ['lorawan', 'backend-interfaces', 'hsm', 'server', 'application-server', 'simulator'],
}

/** Packages that only one place may import. */
const RESERVED: readonly { readonly module: RegExp; readonly only: RegExp }[] = [
  { module: /^koffi$/, only: /^hsm\/src\/pkcs11\// },
  { module: /^node:sqlite$/, only: /^server\/src\/(storage|lock)\/|^hsm\/src\/supervisor\/directory-claim\.ts$/ },
  { module: /^(fastify|@fastify\/.*|fastify-.*)$/, only: /^server\/(src\/http|scripts)\// },
  { module: /^@peculiar\/x509$|^reflect-metadata$/, only: /^cli\/src\/certificates\.ts$/ },
]

interface Import {
  /** Path below `packages/`. */
  readonly file: string
  readonly module: string
}

function sources(directory: string): string[] {
  return readdirSync(directory, { recursive: true, encoding: 'utf8' })
    .filter((path) => path.endsWith('.ts') && !path.includes('node_modules'))
    .map((path) => join(directory, path))
}

function importsOf(file: string): Import[] {
  const text = readFileSync(file, 'utf8')
  const matches = text.matchAll(
    /(?:^|\n)\s*(?:import|export)\b[^'"`;]*?from\s+'([^']+)'|\bimport\('([^']+)'\)|(?:^|\n)import\s+'([^']+)'/g,
  )
  return Array.from(matches, (match) => ({
    file: relative(PACKAGES, file).split(sep).join('/'),
    module: match[1] ?? match[2] ?? match[3] ?? '',
  }))
}

/** The rules, as a function of one import: what is wrong with it, or undefined. */
function objection({ file, module }: Import): string | undefined {
  const [workspace = '', folder] = file.split('/')
  const own = /^@mortise\/([^/]+)/.exec(module)?.[1]
  if (own !== undefined && folder === 'src' && !(WORKSPACES[workspace] ?? []).includes(own)) return 'workspace order'
  if (module.startsWith('.') && resolve(file, module).split('/')[0] !== workspace) return 'path into another workspace'
  if (RESERVED.some((rule) => rule.module.test(module) && folder === 'src' && !rule.only.test(file)))
    return 'reserved package'
  if (workspace === 'server' && folder === 'src' && module.startsWith('.'))
    return roomObjection(file, resolve(file, module))
  return undefined
}

/** A room of the server imports another room through its index only; only main.ts goes everywhere. */
function roomObjection(file: string, target: string): string | undefined {
  const from = roomOf(file)
  const to = roomOf(target)
  if (to === undefined || from === to || from === undefined) return undefined
  return target.endsWith('/index.ts') ? undefined : 'a room behind its index'
}

/** The room of a file in the server: its folder under src, with `http` divided once more. */
function roomOf(file: string): string | undefined {
  const [, , room, second] = file.split('/')
  if (room === undefined || room.endsWith('.ts')) return undefined
  return room === 'http' && second !== undefined && !second.endsWith('.ts')
    ? `http/${second}`
    : room === 'http'
      ? undefined
      : room
}

function resolve(file: string, module: string): string {
  return join(file, '..', module).split(sep).join('/')
}

describe('imports', () => {
  const all = Object.keys(WORKSPACES).flatMap((workspace) => sources(join(PACKAGES, workspace)).flatMap(importsOf))

  test('point one way, and rooms are entered by their door', () => {
    expect(all.length).toBeGreaterThan(300)
    expect(
      all.flatMap((one) => (objection(one) === undefined ? [] : [`${one.file} -> ${one.module}: ${objection(one)}`])),
    ).toEqual([])
  })

  test.each([
    ['lorawan/src/hex.ts', '@mortise/hsm', 'workspace order'],
    ['hsm/src/index.ts', '../../server/src/main.ts', 'path into another workspace'],
    ['server/src/join/answer-join.ts', 'koffi', 'reserved package'],
    ['server/src/join/answer-join.ts', '../storage/ports.ts', 'a room behind its index'],
    ['server/src/join/answer-join.ts', '../storage/index.ts', undefined],
    ['server/src/join/answer-join.ts', './errors.ts', undefined],
    ['hsm/src/pkcs11/library.ts', 'koffi', undefined],
  ])('the rules see %s -> %s', (file, module, expected) => {
    expect(objection({ file, module })).toBe(expected)
  })

  test.each(['lorawan'])('%s has no runtime dependency', (workspace) => {
    const manifest = JSON.parse(readFileSync(join(PACKAGES, workspace, 'package.json'), 'utf8')) as Record<
      string,
      unknown
    >
    expect(manifest['dependencies']).toBeUndefined()
  })
})
