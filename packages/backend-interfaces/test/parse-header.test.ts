import { encodeFailure, MAX_BODY_BYTES, MAX_DEPTH, normalizeSenderId, parseMessage } from '@mortise/backend-interfaces'
import { describe, expect, it } from 'vitest'
import { acceptedMessage, APP_S_KEY_REQ, bytesOf, JOIN_REQ, refusedMessage, STANDARD, withMembers } from './messages.ts'

const TEXT = JSON.stringify(JOIN_REQ)

function insertMember(member: string): string {
  return `{${member},${TEXT.slice(1)}`
}

function nested(levels: number): string {
  return '['.repeat(levels) + ']'.repeat(levels)
}

/** The baseline padded with white space to exactly `size` bytes. */
function paddedTo(size: number): Uint8Array {
  return bytesOf(TEXT + ' '.repeat(size - TEXT.length))
}

describe('a body that is accepted', () => {
  it('gives the header and all members', () => {
    const { header, members } = acceptedMessage(JOIN_REQ)
    expect(header).toEqual({
      protocolVersion: '1.0',
      messageType: 'JoinReq',
      senderId: '000013',
      senderIdText: '000013',
      receiverId: '70b3d57ed0000000',
      receiverIdText: '70b3d57ed0000000',
      transactionId: 988596437,
      senderNsId: undefined,
      senderToken: undefined,
      receiverToken: undefined,
    })
    expect(members).toEqual(JOIN_REQ)
  })

  it.each([
    ['a newline after the object', `${TEXT}\n`],
    ['white space around the object', ` \r\n\t${TEXT} \r\n\t`],
    ['a byte-order mark', `\uFEFF${TEXT}`],
    ['two byte-order marks and a newline', `\uFEFF\uFEFF\n${TEXT}`],
    ['unknown members', insertMember('"Whatever":{"a":[1,2,null,true,"x"]}')],
    ['an unknown member that is not ASCII', insertMember('"Überraschung":"✓"')],
    ['colons, braces and quotes inside strings', insertMember('"x":"a:b{[\\"}]\\\\:"')],
    ['one name in two different objects', insertMember('"a":{"n":1},"b":{"n":1},"c":[{"n":1},{"n":2}]')],
    ['a member called __proto__', insertMember('"__proto__":{"x":1}')],
    [`nesting of ${MAX_DEPTH} levels`, insertMember(`"x":${nested(MAX_DEPTH - 1)}`)],
  ])('with %s', (_, text) => {
    expect(parseMessage(bytesOf(text), STANDARD).kind).toBe('message')
  })

  it(`of ${MAX_BODY_BYTES} bytes`, () => {
    expect(parseMessage(paddedTo(MAX_BODY_BYTES), STANDARD).kind).toBe('message')
  })

  it('wherever its bytes lie in memory', () => {
    const whole = new Uint8Array(TEXT.length + 20)
    whole.set(bytesOf(TEXT), 7)
    expect(parseMessage(whole.subarray(7, 7 + TEXT.length), STANDARD).kind).toBe('message')
  })
})

describe('a body of which nothing can be made is answered with HTTP 400', () => {
  it.each<[string, Uint8Array]>([
    ['empty', bytesOf('')],
    ['only white space', bytesOf(' \n')],
    ['truncated', bytesOf(TEXT.slice(0, -1))],
    ['truncated inside a string', bytesOf(TEXT.slice(0, 30))],
    ['one byte too large', paddedTo(MAX_BODY_BYTES + 1)],
    ['plain text', bytesOf('JoinReq')],
    ['HTML', bytesOf('<html></html>')],
    ['null', bytesOf('null')],
    ['a string', bytesOf('"JoinReq"')],
    ['an array', bytesOf(`[${TEXT}]`)],
    ['something after the object', bytesOf(`${TEXT}x`)],
    ['two objects', bytesOf(TEXT + TEXT)],
    ['a trailing comma', bytesOf(`${TEXT.slice(0, -1)},}`)],
    ['a missing colon', bytesOf(TEXT.replace('":"', '""'))],
    ['single quotes', bytesOf(TEXT.replaceAll('"', "'"))],
    ['a raw control character in a string', bytesOf(insertMember('"x":"\u0001"'))],
    ['not UTF-8', Buffer.from(insertMember('"x":"\xff"'), 'latin1')],
    ['UTF-16', Buffer.from(TEXT, 'utf16le')],
    ['a surrogate as UTF-8', Buffer.from([0x7b, 0x22, 0xed, 0xa0, 0x80, 0x22, 0x3a, 0x31, 0x7d])],
  ])('%s', (_, body) => {
    const refused = refusedMessage(body)
    expect(refused).toMatchObject({ httpStatus: 400, result: 'Malformed', header: { protocolVersion: '1.1' } })
    expect(JSON.parse(encodeFailure(refused.header, refused.result, refused.description, STANDARD))).toEqual({
      ProtocolVersion: '1.1',
      Result: { ResultCode: 'MalformedMessage', Description: refused.description },
    })
  })

  it.each<[string, Uint8Array]>([
    ['no MessageType', bytesOf('{"ProtocolVersion":"1.0"}')],
    ['an empty MessageType', bytesOf(JSON.stringify(withMembers(JOIN_REQ, { MessageType: '' })))],
    ['a MessageType that is no string', bytesOf(JSON.stringify(withMembers(JOIN_REQ, { MessageType: 7 })))],
  ])('%s: in the version that it named', (_, body) => {
    const refused = refusedMessage(body)
    expect(refused).toMatchObject({ httpStatus: 400, result: 'Malformed', header: { protocolVersion: '1.0' } })
    expect(JSON.parse(encodeFailure(refused.header, refused.result, refused.description, STANDARD))).toMatchObject({
      ProtocolVersion: '1.0',
      Result: { ResultCode: 'MalformedRequest' },
    })
  })

  it('also when it nests without end', () => {
    expect(refusedMessage(bytesOf('['.repeat(MAX_BODY_BYTES))).httpStatus).toBe(400)
    expect(refusedMessage(bytesOf('{"a":'.repeat(13_000))).httpStatus).toBe(400)
  })
})

describe('a message with a flaw is answered with HTTP 200 and as much header as could be read', () => {
  it.each([
    ['a duplicate member', insertMember('"RxDelay":3')],
    ['a duplicate member spelled with an escape', insertMember('"\\u0052xDelay":3')],
    ['a duplicate MessageType', insertMember('"MessageType":"JoinReq"')],
    ['a duplicate inside another object', insertMember('"VSExtension":{"VendorID":"1","VendorID":"2"}')],
    ['a duplicate inside an array', insertMember('"x":[[{"a":1,"a":1}]]')],
    ['a duplicate __proto__', insertMember('"__proto__":1,"__proto__":2')],
    [`nesting of ${MAX_DEPTH + 1} levels`, insertMember(`"x":${nested(MAX_DEPTH)}`)],
    ['nesting of thousands of levels', insertMember(`"x":${nested(30_000)}`)],
  ])('%s', (_, text) => {
    expect(refusedMessage(bytesOf(text))).toMatchObject({
      httpStatus: 200,
      result: 'Malformed',
      header: { protocolVersion: '1.0', messageType: 'JoinReq', senderIdText: '000013', transactionId: 988596437 },
    })
  })

  it.each([
    ['ProtocolVersion missing', { ProtocolVersion: undefined }],
    ['ProtocolVersion a number', { ProtocolVersion: 1.1 }],
    ['SenderID missing', { SenderID: undefined }],
    ['SenderID empty', { SenderID: '' }],
    ['SenderID a number', { SenderID: 13 }],
    ['SenderID not ASCII', { SenderID: 'as.tést' }],
    ['SenderID with a control character', { SenderID: 'as\n' }],
    ['SenderID of 257 characters', { SenderID: 'a'.repeat(257) }],
    ['ReceiverID missing', { ReceiverID: undefined }],
    ['ReceiverID a digit short', { ReceiverID: '70b3d57ed000000' }],
    ['ReceiverID not hex', { ReceiverID: '70b3d57ed000000g' }],
    ['ReceiverID a NetID', { ReceiverID: '000013' }],
    ['ReceiverID an array', { ReceiverID: ['70b3d57ed0000000'] }],
    ['TransactionID missing', { TransactionID: undefined }],
    ['TransactionID null', { TransactionID: null }],
    ['TransactionID empty', { TransactionID: '' }],
    ['TransactionID negative', { TransactionID: -1 }],
    ['TransactionID fractional', { TransactionID: 1.5 }],
    ['TransactionID of 33 bits', { TransactionID: 4294967296 }],
    ['TransactionID as text of 33 bits', { TransactionID: '4294967296' }],
    ['TransactionID as hex text', { TransactionID: '0x10' }],
    ['TransactionID as text with blanks', { TransactionID: ' 1' }],
    ['SenderToken not hex', { SenderToken: 'xyz' }],
    ['SenderToken of an odd number of digits', { SenderToken: 'abc' }],
    ['SenderToken of 65 bytes', { SenderToken: 'ab'.repeat(65) }],
    ['ReceiverToken not a string', { ReceiverToken: 1 }],
    ['MessageType XmitDataReq, which is between network servers', { MessageType: 'XmitDataReq' }],
    ['MessageType unknown', { MessageType: 'JoinSomething' }],
    ['MessageType in another case', { MessageType: 'joinreq' }],
    ['MessageType that nobody would send', { MessageType: '"><script>Req' }],
  ])('%s', (_, changes) => {
    const refused = refusedMessage(bytesOf(JSON.stringify(withMembers(JOIN_REQ, changes))))
    expect(refused).toMatchObject({ httpStatus: 200, result: 'Malformed' })
  })

  it.each([
    ['SenderID of 256 characters', { SenderID: 'a'.repeat(256) }],
    ['TransactionID 0', { TransactionID: 0 }],
    ['TransactionID 2^32 - 1', { TransactionID: 4294967295 }],
    ['TransactionID as text', { TransactionID: '4294967295' }],
    ['tokens of 64 bytes', { SenderToken: 'ab'.repeat(64), ReceiverToken: 'CD'.repeat(64) }],
    ['tokens that are empty or null', { SenderToken: '', ReceiverToken: null }],
  ])('the accepted twin: %s', (_, changes) => {
    acceptedMessage(withMembers(JOIN_REQ, changes))
  })

  it.each(['1.2', '2.0', '1', '1.0.0', ''])('refuses ProtocolVersion %j in the highest version spoken', (version) => {
    const refused = refusedMessage(bytesOf(JSON.stringify(withMembers(JOIN_REQ, { ProtocolVersion: version }))))
    expect(refused).toMatchObject({ httpStatus: 200, result: 'InvalidProtocolVersion' })
    expect(JSON.parse(encodeFailure(refused.header, refused.result, refused.description, STANDARD))).toMatchObject({
      ProtocolVersion: '1.1',
      MessageType: 'JoinAns',
      TransactionID: 988596437,
      Result: { ResultCode: 'InvalidProtocolVersion' },
    })
  })

  it('echoes no MessageType that is not one', () => {
    const unknown = refusedMessage(bytesOf(JSON.stringify(withMembers(JOIN_REQ, { MessageType: 'FooBarReq' }))))
    expect(encodeFailure(unknown.header, 'Malformed', 'x', STANDARD)).toContain('"FooBarAns"')
    const odd = refusedMessage(bytesOf(JSON.stringify(withMembers(JOIN_REQ, { MessageType: 'Foo BarReq' }))))
    expect(encodeFailure(odd.header, 'Malformed', 'x', STANDARD)).not.toContain('MessageType')
  })
})

describe('an answer or notification that nobody waits for', () => {
  it.each(['JoinAns', 'AppSKeyAns', 'ErrorNotif', 'PRStartNotif', 'WhateverAns'])('%s is ignored', (type) => {
    const message = withMembers(JOIN_REQ, { MessageType: type })
    expect(parseMessage(bytesOf(JSON.stringify(message)), STANDARD)).toEqual({ kind: 'ignored' })
  })
})

describe('SenderID', () => {
  it.each([
    ['000013', '000013'],
    ['C00053', 'c00053'],
    ['0xC00053', 'c00053'],
    ['0XC00053', 'c00053'],
    ['as.test', 'as.test'],
    ['AS.Test', 'AS.Test'],
    ['0xAS', '0xAS'],
    ['C0005', 'C0005'],
    ['C0005G', 'C0005G'],
  ])('%s is compared as %s and kept as received', (text, normalized) => {
    expect(normalizeSenderId(text)).toBe(normalized)
    const { header } = acceptedMessage(withMembers(APP_S_KEY_REQ, { SenderID: text }))
    expect(header).toMatchObject({ senderId: normalized, senderIdText: text })
  })
})
