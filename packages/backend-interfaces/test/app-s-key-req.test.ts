import { MAX_SESSION_KEY_ID_BYTES, parseAppSKeyReq } from '@mortise/backend-interfaces'
import { bytesToHex } from '@mortise/lorawan'
import { describe, expect, it } from 'vitest'
import { acceptedMessage, APP_S_KEY_REQ, type Message, withMembers } from './messages.ts'

function appSKeyReqWith(changes: Message) {
  const { header, members } = acceptedMessage(withMembers(APP_S_KEY_REQ, changes))
  return parseAppSKeyReq(header, members)
}

describe('AppSKeyReq', () => {
  it('gives DevEUI and SessionKeyID', () => {
    const request = appSKeyReqWith({})
    expect(request.header).toMatchObject({ senderId: 'as.test', receiverId: '70b3d57ed0000000', transactionId: 0 })
    expect(request.devEui).toBe('a289e3ce5260f853')
    expect(bytesToHex(request.sessionKeyId)).toBe('5260f8530000010001')
  })

  it.each([
    ['1 byte', '01'],
    ['a prefix', '0x5260'],
    [`${MAX_SESSION_KEY_ID_BYTES} bytes`, 'ab'.repeat(MAX_SESSION_KEY_ID_BYTES)],
  ])('accepts a SessionKeyID of %s', (_, text) => {
    expect(bytesToHex(appSKeyReqWith({ SessionKeyID: text }).sessionKeyId)).toBe(text.replace('0x', ''))
  })

  it('accepts a SenderID that looks like a NetID', () => {
    expect(appSKeyReqWith({ SenderID: '000000' }).header.senderId).toBe('000000')
  })

  it.each<[string, Message]>([
    ['DevEUI missing', { DevEUI: undefined }],
    ['DevEUI a digit short', { DevEUI: 'A289E3CE5260F85' }],
    ['SessionKeyID missing', { SessionKeyID: undefined }],
    ['SessionKeyID empty', { SessionKeyID: '' }],
    ['SessionKeyID nothing but a prefix', { SessionKeyID: '0x' }],
    ['SessionKeyID a number', { SessionKeyID: 1 }],
    ['SessionKeyID of an odd number of digits', { SessionKeyID: '1' }],
    ['SessionKeyID a UUID as text', { SessionKeyID: '2b3d6a80-6a2f-4f0e-9a1a-0d6a3f1b2c3d' }],
    ['SessionKeyID too long', { SessionKeyID: 'ab'.repeat(MAX_SESSION_KEY_ID_BYTES + 1) }],
  ])('refuses %s as malformed', (_, changes) => {
    expect(() => appSKeyReqWith(changes)).toThrow(expect.objectContaining({ name: 'MessageError', code: 'Malformed' }))
  })
})
