import { spawnSync } from 'node:child_process'
import { copyFileSync, globSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

/**
 * `npm run build`: what is published, as JavaScript and types in `dist/`, each package ready for `npm pack`. Node runs the
 * sources as they are, but strips no types below node_modules.
 */

/** In the order in which they need each other. */
const PUBLISHED = ['lorawan', 'backend-interfaces', 'application-server'] as const
type Published = (typeof PUBLISHED)[number]
const ROOT = fileURLToPath(new URL('..', import.meta.url))
const OUTPUT = join(ROOT, 'dist')
const SOURCE_PATH = /^\.\/src\/(.*)\.ts$/
/** A path in the program itself, which the compiler leaves as it is. */
const SOURCE_URL = /(new URL\('[^']+)\.ts(', import\.meta\.url\))/g

for (const name of PUBLISHED) {
  const target = join(OUTPUT, name)
  rmSync(target, { recursive: true, force: true })
  mkdirSync(target, { recursive: true })
  writeManifest(name, target)
  compile(name, target)
  for (const file of globSync('**/*.js', { cwd: target })) rewrite(join(target, file))
  copyFileSync(join(ROOT, 'LICENSE'), join(target, 'LICENSE'))
  console.log(target)
}

function compile(name: Published, target: string): void {
  const source = join(ROOT, 'packages', name)
  const config = join(target, 'tsconfig.json')
  const options = {
    ...{ noEmit: false, rootDir: join(source, 'src'), outDir: target, declaration: true },
    ...{ rewriteRelativeImportExtensions: true, allowImportingTsExtensions: true, customConditions: [] },
    paths: pathsOf(name),
  }
  const include = [join(source, 'src')]
  writeFileSync(config, JSON.stringify({ extends: join(ROOT, 'tsconfig.json'), compilerOptions: options, include }))
  const { status } = spawnSync(process.execPath, [join(ROOT, 'node_modules/typescript/bin/tsc'), '-p', config], {
    stdio: 'inherit',
  })
  rmSync(config)
  if (status !== 0) process.exit(1)
}

/** Packages of Mortise as they were built before; without this the compiler would take their sources as this one's. */
function pathsOf(name: Published): Record<string, string[]> {
  const before = PUBLISHED.slice(0, PUBLISHED.indexOf(name))
  return Object.fromEntries(
    before.flatMap((built) =>
      Object.entries(readManifest(join(OUTPUT, built)).exports).map(([path, file]) => [
        `@mortise/${built}${path.slice(1)}`,
        [join(OUTPUT, built, file.replace(/\.js$/, '.d.ts'))],
      ]),
    ),
  )
}

interface Manifest {
  readonly exports: Record<string, string>
}

function readManifest(directory: string): Manifest {
  return JSON.parse(readFileSync(join(directory, 'package.json'), 'utf8')) as Manifest
}

function writeManifest(name: string, target: string): void {
  const built = JSON.stringify(readManifest(join(ROOT, 'packages', name)), withoutSources, 2)
  writeFileSync(join(target, 'package.json'), `${built}\n`)
}

/** What is for those who work on the sources goes; a path to a source becomes one to what is made of it. */
function withoutSources(key: string, value: unknown): unknown {
  if (key === 'devDependencies') return undefined
  return typeof value === 'string' ? value.replace(SOURCE_PATH, './$1.js') : value
}

function rewrite(file: string): void {
  writeFileSync(file, readFileSync(file, 'utf8').replace(SOURCE_URL, '$1.js$2'))
}
