import { MAX_AS_ID_BYTES, MAX_KEK_LABEL_BYTES } from '@mortise/hsm'
import { MAC_VERSIONS, parseDevEui, parseJoinEui, parseMacVersion, parseNetId, parseNsId } from '@mortise/lorawan'
import { parsedBy } from './options.ts'

/** Parsers for options: a wrong value is a usage error that says what was expected. */
export const devEuiOption = parsedBy(parseDevEui, 'a DevEUI of 16 hexadecimal digits')
export const joinEuiOption = parsedBy(parseJoinEui, 'a JoinEUI of 16 hexadecimal digits')
export const netIdOption = parsedBy(parseNetId, 'a NetID of 6 hexadecimal digits')
export const nsIdOption = parsedBy(parseNsId, 'an NSID of 16 hexadecimal digits')
export const macVersionOption = parsedBy(parseMacVersion, `one of ${MAC_VERSIONS.join(', ')}`)
export const asIdOption = parsedBy(parseAsId, `an AS-ID of 1 to ${MAX_AS_ID_BYTES} printable characters, no spaces`)
export const labelOption = parsedBy(
  parseLabel,
  `a label of 1 to ${MAX_KEK_LABEL_BYTES} printable characters, no spaces`,
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
