import { parseNetId } from '@mortise/lorawan'
import { HsmError } from '../errors.ts'
import type { Members } from '../members.ts'
import { MAX_AS_ID_BYTES } from '../records/device-record.ts'
import type { KekKind } from '../records/kek-record.ts'

/** What members of several changes have in common. Every refusal is `order_malformed`, with the member's name. */

export function readKind(members: Members): KekKind {
  const kind = members.text('kind')
  return kind === 'ns' || kind === 'as' ? kind : members.fail('kind')
}

/** A NetID for `ns`, an AS-ID for `as`. */
export function readRecipient(kind: KekKind, members: Members, name: string): string {
  const id = members.text(name)
  return kind === 'ns' ? convert(name, id, parseNetId) : checkText(members, name, id, MAX_AS_ID_BYTES)
}

/** Printable ASCII without spaces, so that what is compared byte by byte looks the same to people as well. */
export function checkText(members: Members, name: string, value: unknown, maxBytes: number): string {
  if (typeof value !== 'string' || !/^[\x21-\x7e]+$/.test(value) || value.length > maxBytes) return members.fail(name)
  return value
}

export function convert<T>(name: string, text: string, parse: (text: string) => T): T {
  try {
    return parse(text)
  } catch (error) {
    throw new HsmError('order_malformed', name, { cause: error })
  }
}
