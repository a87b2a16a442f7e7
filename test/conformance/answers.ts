import { unwrapKey } from '@mortise/lorawan/node-aes'
import { expect } from 'vitest'
import type { PublishedAnswer, PublishedEnvelope, PublishedRequest } from './published-cases.ts'

export const KEY_NAMES = ['NwkSKey', 'FNwkSIntKey', 'SNwkSIntKey', 'NwkSEncKey', 'AppSKey'] as const
export type KeyName = (typeof KEY_NAMES)[number]

/** An answer as it came, members by their names on the wire. */
export interface ReceivedAnswer extends Partial<Record<KeyName, PublishedEnvelope>> {
  readonly Result: { readonly ResultCode: string; readonly Description?: string }
  readonly PHYPayload?: string
  readonly SessionKeyID?: string
  readonly DevEUI?: string
}

/** KEKs by label. */
export type KekRing = ReadonlyMap<string, Uint8Array>

const HEADER_NAMES = ['ProtocolVersion', 'SenderID', 'ReceiverID', 'TransactionID', 'MessageType'] as const

/** TS002 1.0 §22.1: sender and receiver change sides, Req becomes Ans, the rest is echoed. Hex may change its case. */
export function expectHeader(answer: ReceivedAnswer, request: PublishedRequest, expected: PublishedAnswer): void {
  const answered = {
    ...request,
    SenderID: request['ReceiverID'],
    ReceiverID: request['SenderID'],
    MessageType: request.MessageType?.replace(/Req$/, 'Ans'),
  }
  expect(headerOf(answer)).toEqual({ ...headerOf(answered), ...headerOf(expected) })
}

function headerOf(message: object): Record<string, unknown> {
  const members = message as Record<string, unknown>
  const present = HEADER_NAMES.filter((name) => members[name] !== undefined)
  return Object.fromEntries(present.map((name) => [name, lowerCase(members[name])]))
}

function lowerCase(value: unknown): unknown {
  return typeof value === 'string' ? value.toLowerCase() : value
}

export function keyNamesOf(answer: ReceivedAnswer | PublishedAnswer): KeyName[] {
  return KEY_NAMES.filter((name) => answer[name] !== undefined && answer[name] !== null)
}

/** The key in clear, lower-case hex. */
export function openKey(envelope: PublishedEnvelope, ring: KekRing): string {
  const bytes = Buffer.from(envelope.AESKey, 'hex')
  if (!isWrapped(envelope)) return bytes.toString('hex')
  const kek = ring.get(envelope.KEKLabel!)
  if (kek === undefined) throw new Error(`no KEK ${envelope.KEKLabel ?? ''}`)
  return Buffer.from(unwrapKey(kek, bytes)).toString('hex')
}

export function isWrapped({ KEKLabel }: PublishedEnvelope): boolean {
  return KEKLabel !== undefined && KEKLabel !== ''
}

/** SessionKeyID is opaque, but an odd number of digits is no bytes. */
export function expectSessionKeyId(answer: ReceivedAnswer): void {
  expect(answer.SessionKeyID).toMatch(/^(?:[0-9a-f]{2})+$/)
}
