import { open } from 'node:fs/promises'
import { hexToBytes } from '@mortise/lorawan'

export type KeyFileErrorCode = 'key_file_mode' | 'key_file_malformed'

/** A file that is not fit to hold a key. Its content is never part of the message. */
export class KeyFileError extends Error {
  override readonly name = 'KeyFileError'
  readonly code: KeyFileErrorCode

  constructor(code: KeyFileErrorCode, message: string) {
    super(message)
    this.code = code
  }
}

const GROUP_AND_OTHERS = 0o077

/**
 * The text of a file that its owner alone may read (mode 0600 or stricter; Windows has no modes to check).
 * @throws {KeyFileError} `key_file_mode`
 */
export async function readSecretFile(path: string): Promise<Buffer> {
  await using file = await open(path)
  const { mode } = await file.stat()
  if (process.platform !== 'win32' && (mode & GROUP_AND_OTHERS) !== 0) {
    throw new KeyFileError('key_file_mode', `Others may read ${path}. Mend it with: chmod 600 ${path}`)
  }
  return await file.readFile()
}

/** The bytes of a key file, which holds hexadecimal text. @throws {KeyFileError} `key_file_mode`, `key_file_malformed` */
export async function readKeyFile(path: string): Promise<Uint8Array> {
  const text = await readSecretFile(path)
  try {
    return hexToBytes(text.toString('latin1').trim())
  } catch {
    throw new KeyFileError('key_file_malformed', `${path} does not hold a key as hexadecimal text.`)
  } finally {
    text.fill(0)
  }
}
