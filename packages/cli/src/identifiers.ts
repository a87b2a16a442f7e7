import { isCertificateName, isOrderUrl, MAX_AS_ID_BYTES, MAX_KEK_LABEL_BYTES, MAX_URL_LENGTH } from '@mortise/hsm'
import {
  MAC_VERSIONS,
  parseDevEui,
  parseJoinEui,
  parseJoinEuiPrefix,
  parseMacVersion,
  parseNetId,
  parseNsId,
} from '@mortise/lorawan'
import { parsedBy } from './options.ts'

/** Parsers for options: a wrong value is a usage error that says what was expected. */
export const devEuiOption = parsedBy(parseDevEui, 'a DevEUI of 16 hexadecimal digits')
export const joinEuiOption = parsedBy(parseJoinEui, 'a JoinEUI of 16 hexadecimal digits')
export const joinEuiPrefixOption = parsedBy(
  parseJoinEuiPrefix,
  'a prefix of JoinEUIs and its bits, such as 70b3d57ed0000000/40, with only 0 behind them',
)
export const netIdOption = parsedBy(parseNetId, 'a NetID of 6 hexadecimal digits')
export const nsIdOption = parsedBy(parseNsId, 'an NSID of 16 hexadecimal digits')
export const macVersionOption = parsedBy(parseMacVersion, `one of ${MAC_VERSIONS.join(', ')}`)
export const asIdOption = parsedBy(parseAsId, `an AS-ID of 1 to ${MAX_AS_ID_BYTES} printable characters, no spaces`)
export const labelOption = parsedBy(
  parseLabel,
  `a label of 1 to ${MAX_KEK_LABEL_BYTES} printable characters, no spaces`,
)

export const httpsUrlOption = parsedBy(
  (text) => accepted(text, isOrderUrl),
  `an https URL of at most ${MAX_URL_LENGTH} characters, without user and fragment`,
)
export const certificateNameOption = parsedBy(
  (text) => accepted(text, isCertificateName),
  'one name as it stands in the certificate, without wildcards',
)
export const fingerprintOption = parsedBy(
  (text) => accepted(text.toLowerCase().replaceAll(':', ''), (hex) => /^[0-9a-f]{64}$/.test(hex)),
  'the SHA-256 fingerprint of a certificate, 64 hexadecimal digits',
)

export const digestOption = parsedBy(
  (text) => accepted(text.toLowerCase(), (hex) => /^[0-9a-f]{64}$/.test(hex)),
  'the SHA-256 of a token as it is listed, 64 hexadecimal digits',
)

/** An AS-ID: printable ASCII without spaces. @throws Error */
export function parseAsId(text: string): string {
  return printable(text, MAX_AS_ID_BYTES)
}

function parseLabel(text: string): string {
  return printable(text, MAX_KEK_LABEL_BYTES)
}

function printable(text: string, maxBytes: number): string {
  if (!/^[\x21-\x7e]+$/.test(text) || text.length > maxBytes) throw new RangeError('not printable')
  return text
}

function accepted(text: string, isAccepted: (text: string) => boolean): string {
  if (!isAccepted(text)) throw new RangeError('not accepted')
  return text
}
