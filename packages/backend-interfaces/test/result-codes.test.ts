import { parseResultCode, RESULT_CODES, resultCodeFor } from '@mortise/backend-interfaces'
import { describe, expect, it } from 'vitest'
import { STANDARD } from './messages.ts'

// ChirpStack v4 backend::ResultCode: a closed enumeration without NoAction, FrameReplayed and MalformedMessage.
const CHIRPSTACK_CODES = [
  'Success',
  'MICFailed',
  'JoinReqFailed',
  'NoRoamingAgreement',
  'DevRoamingDisallowed',
  'RoamingActDisallowed',
  'ActivationDisallowed',
  'UnknownDevEUI',
  'UnknownDevAddr',
  'UnknownSender',
  'UnkownReceiver',
  'Deferred',
  'XmitFailed',
  'InvalidFPort',
  'InvalidProtocolVersion',
  'StaleDeviceProfile',
  'MalformedRequest',
  'FrameSizeError',
  'Other',
]

describe('result codes on the wire', () => {
  it('never sends a 1.0 peer a code that ChirpStack cannot read', () => {
    for (const code of RESULT_CODES) expect(CHIRPSTACK_CODES).toContain(resultCodeFor(code, '1.0', STANDARD))
  })

  it('calls malformed MalformedRequest in 1.0 and MalformedMessage in 1.1', () => {
    expect(resultCodeFor('Malformed', '1.0', STANDARD)).toBe('MalformedRequest')
    expect(resultCodeFor('Malformed', '1.1', STANDARD)).toBe('MalformedMessage')
  })

  it('reports a replay to a 1.0 peer as JoinReqFailed', () => {
    expect(resultCodeFor('FrameReplayed', '1.0', STANDARD)).toBe('JoinReqFailed')
    expect(resultCodeFor('FrameReplayed', '1.1', STANDARD)).toBe('FrameReplayed')
  })

  it('keeps the misspelling UnkownReceiver of table 24 in both versions, and reads both spellings', () => {
    expect(resultCodeFor('UnkownReceiver', '1.0', STANDARD)).toBe('UnkownReceiver')
    expect(resultCodeFor('UnkownReceiver', '1.1', STANDARD)).toBe('UnkownReceiver')
    expect(parseResultCode('UnkownReceiver')).toBe('UnkownReceiver')
    expect(parseResultCode('UnknownReceiver')).toBe('UnkownReceiver')
  })

  it('reads every code as it writes it for 1.1, and the malformed one of 1.0', () => {
    for (const code of RESULT_CODES) expect(parseResultCode(resultCodeFor(code, '1.1', STANDARD))).toBe(code)
    expect(parseResultCode('MalformedRequest')).toBe('Malformed')
  })

  it.each(['', 'success', 'NoSuchCode', 'constructor', '__proto__'])('does not know %j', (text) => {
    expect(parseResultCode(text)).toBeUndefined()
  })
})
