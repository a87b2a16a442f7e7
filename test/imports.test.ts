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
  bridge: ['lorawan', 'backend-interfaces', 'application-server'],
  // The simulator plays the owner's side too, with the library that owners use.
  simulator: ['lorawan', 'backend-interfaces', 'application-server'],
  server: ['lorawan', 'backend-interfaces', 'hsm'],
  cli: ['lorawan', 'backend-interfaces', 'hsm', 'server', 'application-server', 'bridge', 'simulator'],
}

/** Packages that only one place may import. */
const RESERVED: readonly { readonly module: RegExp; readonly only: RegExp }[] = [
  { module: /^quickjs-|^@jitl\//, only: /^application-server\/src\/codecs\/sandbox-thread\.ts$/ },
  { module: /^mqtt$/, only: /^bridge\/src\/mqtt\// },
  { module: /^@chirpstack\/|^@grpc\/|^google-protobuf/, only: /^bridge\/src\/chirpstack\// },
  { module: /^pg$/, only: /^application-server\/src\/sessions\/postgresql-/ },
  { module: /^koffi$/, only: /^hsm\/src\/pkcs11\// },
  {
    module: /^node:sqlite$/,
    only: /^server\/src\/(storage|lock)\/|^hsm\/src\/supervisor\/directory-claim\.ts$|^application-server\/src\/sessions\/sqlite-|^bridge\/src\/queue\//,
  },
  { module: /^(fastify|@fastify\/.*|fastify-.*)$/, only: /^server\/(src\/http|scripts)\// },
  { module: /^@peculiar\/x509$|^reflect-metadata$/, only: /^cli\/src\/certificates\.ts$/ },
]

/** What only processes of the trust boundary may hold: its package gives away no value of these. */
const CUSTODY =
  /^\.\/(custody|token|soft|pkcs11|store|worker|ceremony)\/|^\.\/supervisor\/(?!serve\.ts$)|^\.\/bench\/(?!asked-process\.ts$)/

interface Import {
  /** Path below `packages/`. */
  readonly file: string
  readonly module: string
  readonly typeOnly?: boolean
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
    typeOnly: /^\s*(import|export) type\b/.test(match[0]),
  }))
}

/** The rules, as a function of one import: what is wrong with it, or undefined. */
function objection({ file, module, typeOnly = false }: Import): string | undefined {
  const [workspace = '', folder] = file.split('/')
  const own = /^@mortise\/([^/]+)/.exec(module)?.[1]
  if (own !== undefined && folder === 'src' && !(WORKSPACES[workspace] ?? []).includes(own)) return 'workspace order'
  if (module.startsWith('.') && resolve(file, module).split('/')[0] !== workspace) return 'path into another workspace'
  if (own === 'hsm' && module !== '@mortise/hsm') return 'the trust boundary has one door'
  if (file === 'hsm/src/index.ts' && !typeOnly && CUSTODY.test(module)) return 'custody stays inside'
  if (RESERVED.some((rule) => rule.module.test(module) && folder === 'src' && !rule.only.test(file)))
    return 'reserved package'
  if (workspace === 'server' && folder === 'src' && module.startsWith('.'))
    return roomObjection(file, resolve(file, module))
  return undefined
}

/**
 * A room of the server imports another through its index only; main.ts, and what lies beside it, goes everywhere. What
 * lies beside the two rooms of `http` is for those two, and nothing of `http` for any other room: it imports them.
 */
function roomObjection(file: string, target: string): string | undefined {
  const from = roomOf(file)
  const to = roomOf(target)
  if (to === undefined || from === to || from === undefined) return undefined
  if (isHttp(to) && !isHttp(from)) return 'http is entered by main.ts alone'
  return to === 'http' || target.endsWith('/index.ts') ? undefined : 'a room behind its index'
}

function isHttp(room: string): boolean {
  return room === 'http' || room.startsWith('http/')
}

/** The room of a file in the server: its folder under src, with `http` divided once more. */
function roomOf(file: string): string | undefined {
  const [, , room, second] = file.split('/')
  if (room === undefined || room.endsWith('.ts')) return undefined
  return room === 'http' && second !== undefined && !second.endsWith('.ts') ? `http/${second}` : room
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
    ['server/src/routing/forward.ts', '../http/fair-share.ts', 'http is entered by main.ts alone'],
    ['server/src/routing/forward.ts', '../http/backend-interfaces/index.ts', 'http is entered by main.ts alone'],
    ['server/src/routing/forward.ts', '../fair-share.ts', undefined],
    ['server/src/http/metrics.ts', '../routing/index.ts', undefined],
    ['server/src/http/metrics.ts', '../routing/forward.ts', 'a room behind its index'],
    ['server/src/http/metrics.ts', './backend-interfaces/admission.ts', 'a room behind its index'],
    ['server/src/http/management-api/problems.ts', '../backend-interfaces/admission.ts', 'a room behind its index'],
    ['server/src/http/backend-interfaces/admission.ts', '../metrics.ts', undefined],
    ['server/src/main.ts', './http/metrics.ts', undefined],
    ['hsm/src/pkcs11/library.ts', 'koffi', undefined],
    ['server/src/main.ts', '@mortise/hsm', undefined],
    ['server/src/main.ts', '@mortise/hsm/workbench', 'the trust boundary has one door'],
    ['cli/src/bench/hsm-alone.ts', '@mortise/hsm/src/bench/open-hsm.ts', 'the trust boundary has one door'],
    ['cli/test/bench.test.ts', '@mortise/hsm/custody', 'the trust boundary has one door'],
    ['hsm/src/index.ts', './custody/answer-join.ts', 'custody stays inside'],
    ['hsm/src/index.ts', './supervisor/sealed-store.ts', 'custody stays inside'],
    ['hsm/src/index.ts', './supervisor/serve.ts', undefined],
    ['hsm/src/index.ts', './bench/open-hsm.ts', 'custody stays inside'],
    ['hsm/src/index.ts', './bench/asked-process.ts', undefined],
  ])('the rules see %s -> %s', (file, module, expected) => {
    expect(objection({ file, module })).toBe(expected)
  })

  test('types alone may leave the trust boundary', () => {
    const file = 'hsm/src/index.ts'
    const ofIndex = all.filter((one) => one.file === file)
    expect(ofIndex).toContainEqual({ file, module: './ceremony/create-hsm.ts', typeOnly: true })
    expect(ofIndex).toContainEqual({ file, module: './errors.ts', typeOnly: false })
    expect(objection({ file, module: './custody/custody.ts', typeOnly: true })).toBe(undefined)
  })

  test('nothing but its index can be imported from the trust boundary', () => {
    const manifest = JSON.parse(readFileSync(join(PACKAGES, 'hsm', 'package.json'), 'utf8')) as { exports: unknown }
    expect(manifest.exports).toEqual({ '.': './src/index.ts' })
  })

  test.each(['lorawan'])('%s has no runtime dependency', (workspace) => {
    const manifest = JSON.parse(readFileSync(join(PACKAGES, workspace, 'package.json'), 'utf8')) as Record<
      string,
      unknown
    >
    expect(manifest['dependencies']).toBeUndefined()
  })
})
