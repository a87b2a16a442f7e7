import { HsmError } from '../errors.ts'
import { openPkcs11Token } from '../pkcs11/token.ts'
import { openSoftToken } from '../soft/token.ts'
import type { BackendSettings } from './settings.ts'
import type { Token } from './token.ts'

/**
 * Opens the token that the sealed store describes.
 * @throws HsmError token_failed
 */
export function openToken(settings: BackendSettings, pin: Buffer | undefined): Token {
  if (settings.kind === 'soft') return openSoftToken(settings)
  if (pin === undefined) throw new HsmError('token_failed', 'the PIN is missing')
  return openPkcs11Token(settings, pin)
}
