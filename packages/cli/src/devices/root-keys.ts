import { readSecretFile } from '@mortise/hsm'
import { hexToBytes, is11, type MacVersion } from '@mortise/lorawan'
import { CliError } from '../errors.ts'

/** Root keys of one device in clear, 16 bytes each, on their way into an envelope. */
export interface RootKeys {
  readonly appKey: Uint8Array
  /** Present exactly for LoRaWAN 1.1. */
  readonly nwkKey?: Uint8Array
}

const ROOT_KEY_BYTES = 16
/** Half a root key, or more, as hex; a whole one, or more, as base64. */
const KEY_LIKE = /[0-9a-fA-F]{16}|[\w+/-]{22}/
const KEYS_FILE_HINT = 'it must hold {"appKey": "32 hex digits"}, and for LoRaWAN 1.1 "nwkKey" too'

/** Root keys that cannot be a device's. The message names the member, never its value. */
export class RootKeyError extends Error {
  override readonly name = 'RootKeyError'
  readonly hint: string | undefined

  constructor(message: string, hint?: string) {
    super(message)
    this.hint = hint
  }
}

/**
 * Checks the root keys of a device of this version.
 * @throws RootKeyError
 */
export function parseRootKeys(macVersion: MacVersion, appKey: unknown, nwkKey: unknown): RootKeys {
  if (is11(macVersion) && nwkKey === undefined)
    throw new RootKeyError(
      'nwkKey is missing: a LoRaWAN 1.1 device has an AppKey and a NwkKey',
      'if the device has one root key only, it is a LoRaWAN 1.0.x device: name its version',
    )
  if (!is11(macVersion) && nwkKey !== undefined)
    throw new RootKeyError(
      `nwkKey is unexpected: a LoRaWAN ${macVersion} device has an AppKey only`,
      'if the device has two root keys, it is a LoRaWAN 1.1 device (a 1.1 device in a 1.0 network, too); ' +
        'some network servers call the one key of a 1.0.x device nwkKey: it is the appKey here',
    )
  return {
    appKey: parseKey('appKey', appKey),
    ...(nwkKey !== undefined && { nwkKey: parseKey('nwkKey', nwkKey) }),
  }
}

/** Reads a file `{"appKey": hex, "nwkKey": hex}`. @throws SecretFileError, CliError keys_file_malformed */
export function readKeysFile(path: string, macVersion: MacVersion): RootKeys {
  const bytes = readSecretFile(path, KEYS_FILE_HINT)
  try {
    const { appKey, nwkKey, ...unknown } = parseObject(bytes.toString())
    const [name] = Object.keys(unknown)
    if (name !== undefined) throw new RootKeyError(unknownMember(name))
    return parseRootKeys(macVersion, appKey, nwkKey)
  } catch (error) {
    if (!(error instanceof RootKeyError)) throw error
    throw new CliError('keys_file_malformed', `${path}: ${error.message}`, {
      hint: error.hint ?? KEYS_FILE_HINT,
    })
  } finally {
    bytes.fill(0)
  }
}

/** What is said of a member that does not belong there: its name, unless it may be a key in the wrong place. */
export function unknownMember(name: string): string {
  return KEY_LIKE.test(name)
    ? 'a member whose name may be a key'
    : `unknown member ${JSON.stringify(name.slice(0, 40))}`
}

/** @throws RootKeyError; the parser's own message would quote the text, which holds keys */
export function parseObject(text: string): Record<string, unknown> {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    throw new RootKeyError('not JSON')
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw new RootKeyError('not a JSON object')
  return value as Record<string, unknown>
}

function parseKey(name: string, value: unknown): Uint8Array {
  if (value === undefined) throw new RootKeyError(`${name} is missing`)
  if (typeof value !== 'string' || !/^[0-9a-fA-F]{32}$/.test(value))
    throw new RootKeyError(`${name} must be ${2 * ROOT_KEY_BYTES} hexadecimal digits`)
  const key = hexToBytes(value)
  if (key.every((byte) => byte === 0))
    throw new RootKeyError(`${name} is all zeros, which is no key`, 'give the device a random key')
  return key
}
