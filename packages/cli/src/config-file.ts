import { existsSync, readFileSync, statSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import { parseDocument } from 'yaml'
import { CliError } from './errors.ts'

/** `DIR/mortise.yaml`: every option of `mortise serve`, in camelCase. File names are relative to the file. */
export interface ConfigFile {
  readonly passphraseFile?: string
  readonly pinFile?: string
  readonly hsmSocket?: string
  readonly biListen?: string
  readonly apiListen?: string
  readonly biPath?: readonly string[]
  readonly tlsCert?: string
  readonly tlsKey?: string
  readonly workers?: number
}

const MAX_CONFIG_BYTES = 64 * 1024
const FILE_NAMES = ['passphraseFile', 'pinFile', 'hsmSocket', 'tlsCert', 'tlsKey'] as const
const TEXTS = ['biListen', 'apiListen'] as const
const KNOWN: readonly string[] = [...FILE_NAMES, ...TEXTS, 'biPath', 'workers']

/** Empty when there is no such file. @throws CliError config_invalid */
export function readConfigFile(path: string): ConfigFile {
  if (!existsSync(path)) return {}
  if (statSync(path).size > MAX_CONFIG_BYTES) fail(path, `larger than ${MAX_CONFIG_BYTES} bytes`)
  const members = parseYaml(path)
  const unknown = Object.keys(members).find((name) => !KNOWN.includes(name))
  if (unknown !== undefined) fail(path, `${unknown} is no option of serve`)
  const config: Record<string, unknown> = {}
  for (const name of [...FILE_NAMES, ...TEXTS]) {
    const value = members[name]
    if (value === undefined) continue
    if (typeof value !== 'string') return fail(path, `${name} must be text`)
    config[name] = FILE_NAMES.some((file) => file === name) ? resolve(dirname(path), value) : value
  }
  const { biPath, workers } = members
  if (biPath !== undefined) config['biPath'] = pathsOf(path, biPath)
  if (workers !== undefined && !Number.isInteger(workers)) fail(path, 'workers must be a whole number')
  return { ...config, ...(workers !== undefined && { workers: workers as number }) }
}

function parseYaml(path: string): Record<string, unknown> {
  let value: unknown
  try {
    const document = parseDocument(readFileSync(path, 'utf8'), { logLevel: 'error' })
    // What the library only warns of, an unknown tag for instance, would be an option that means something else.
    const [fault] = [...document.errors, ...document.warnings]
    if (fault !== undefined) throw fault
    value = document.toJS()
  } catch (error) {
    throw new CliError('config_invalid', `${path} is not YAML`, { cause: error })
  }
  if (value === null) return {}
  if (typeof value !== 'object' || Array.isArray(value)) return fail(path, 'options as `name: value` expected')
  return value as Record<string, unknown>
}

function pathsOf(path: string, value: unknown): string[] {
  const paths: unknown[] = Array.isArray(value) ? value : [value]
  return paths.map((item) => (typeof item === 'string' ? item : fail(path, 'biPath must be a path or a list of paths')))
}

function fail(path: string, message: string): never {
  throw new CliError('config_invalid', `${path}: ${message}`, { hint: `it may hold: ${KNOWN.join(', ')}` })
}
