import {
  AnswerError,
  dialectOf,
  encodeAppSKeyAns,
  encodeAppSKeyReq,
  encodeJoinAns,
  encodeJoinReq,
  type KeyEnvelope,
  MessageError,
  type NetworkSessionKeys,
  parseAppSKeyAns,
  parseAppSKeyReq,
  parseHomeNsAns,
  parseHomeNsReq,
  parseJoinAns,
  parseJoinReq,
  parseMessage,
  parseRejoinAns,
  parseRejoinReq,
} from '@mortise/backend-interfaces'
import {
  bytesToHex,
  encodeJoinRequest,
  MAC_VERSIONS,
  parseDevAddr,
  parseDevEui,
  parseJoinEui,
  parseNetId,
  parseNsId,
} from '@mortise/lorawan'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  acceptedBody,
  acceptedMessage,
  APP_S_KEY_REQ,
  bytesOf,
  HOME_NS_REQ,
  JOIN_REQ,
  type Message,
  REJOIN_REQ,
  STANDARD,
} from './messages.ts'

const bytes = (size: number) => fc.uint8Array({ minLength: size, maxLength: size })
const hex = (size: number) => bytes(size).map(bytesToHex)
const uint32 = fc.integer({ min: 0, max: 0xffffffff })
const protocolVersion = fc.constantFrom('1.0' as const, '1.1' as const)
const asId = fc.string({ unit: 'grapheme-ascii', minLength: 1, maxLength: 256 })
const sessionKeyId = fc.uint8Array({ minLength: 1, maxLength: 64 })
const devEui = hex(8).map(parseDevEui)
const joinEui = hex(8).map(parseJoinEui)

const wrappedKey = fc.record({ kekLabel: fc.string({ unit: 'binary', minLength: 1 }), aesKey: bytes(24) })
const keyEnvelope: fc.Arbitrary<KeyEnvelope> = fc.oneof(fc.record({ aesKey: bytes(16) }), wrappedKey)
const networkKeys: fc.Arbitrary<NetworkSessionKeys> = fc.oneof(
  fc.record({ nwkSKey: keyEnvelope }),
  fc.record({ fNwkSIntKey: keyEnvelope, sNwkSIntKey: keyEnvelope, nwkSEncKey: keyEnvelope }),
)
const joinOutcome = fc.record({
  phyPayload: fc.oneof(bytes(17), bytes(33)),
  networkKeys,
  appSKey: fc.option(keyEnvelope, { nil: undefined }),
  sessionKeyId: fc.option(sessionKeyId, { nil: undefined }),
  lifetime: uint32,
})

describe('what is encoded is read back', () => {
  it('JoinReq', () => {
    const request = fc.record({
      protocolVersion,
      senderId: hex(3).map(parseNetId),
      senderNsId: fc.option(hex(8).map(parseNsId), { nil: undefined }),
      receiverId: joinEui,
      macVersion: fc.constantFrom(...MAC_VERSIONS),
      frame: fc.record({ joinEui, devEui, devNonce: fc.integer({ min: 0, max: 0xffff }), mic: bytes(4) }),
      devAddr: hex(4).map(parseDevAddr),
      dlSettings: fc.integer({ min: 0, max: 255 }),
      rxDelay: fc.integer({ min: 0, max: 15 }),
      cfList: fc.option(bytes(16), { nil: undefined }),
    })
    fc.assert(
      fc.property(request, uint32, ({ frame, ...fields }, transactionId) => {
        const phyPayload = encodeJoinRequest(frame, frame.mic)
        const text = encodeJoinReq({ ...fields, phyPayload, devEui: frame.devEui }, transactionId)
        const { header, members } = acceptedBody(bytesOf(text))
        const { senderId, senderNsId, receiverId, protocolVersion: version, ...rest } = fields
        expect(parseJoinReq(header, members)).toEqual({
          header,
          ...rest,
          netId: senderId,
          frame,
          phyPayload,
          devEui: frame.devEui,
        })
        expect(header).toMatchObject({ senderId, receiverId, transactionId, protocolVersion: version })
        expect(header.senderNsId).toBe(version === '1.1' ? senderNsId : undefined)
      }),
    )
  })

  it('AppSKeyReq', () => {
    const request = fc.record({ protocolVersion, senderId: asId, receiverId: joinEui, devEui, sessionKeyId })
    fc.assert(
      fc.property(request, uint32, (fields, transactionId) => {
        const { header, members } = acceptedBody(bytesOf(encodeAppSKeyReq(fields, transactionId)))
        expect(parseAppSKeyReq(header, members)).toEqual({
          header,
          devEui: fields.devEui,
          sessionKeyId: fields.sessionKeyId,
        })
        expect(header).toMatchObject({ senderIdText: fields.senderId, transactionId })
      }),
    )
  })

  it('JoinAns', () => {
    const { header } = acceptedMessage(JOIN_REQ)
    fc.assert(
      fc.property(joinOutcome, asId, (outcome, senderIdText) => {
        const text = encodeJoinAns({ ...header, senderIdText }, outcome, STANDARD)
        expect(parseJoinAns(bytesOf(text))).toEqual({
          protocolVersion: '1.0',
          transactionId: header.transactionId,
          resultCode: 'Success',
          ...outcome,
        })
        // Written by hand, yet exactly what JSON.stringify would write.
        expect(JSON.stringify(JSON.parse(text))).toBe(text)
      }),
    )
  })

  it('AppSKeyAns', () => {
    const { header } = acceptedMessage(APP_S_KEY_REQ)
    fc.assert(
      fc.property(fc.record({ devEui, sessionKeyId, appSKey: keyEnvelope }), (outcome) => {
        expect(parseAppSKeyAns(bytesOf(encodeAppSKeyAns(header, outcome)))).toEqual({
          protocolVersion: '1.1',
          transactionId: 0,
          resultCode: 'Success',
          ...outcome,
        })
      }),
    )
  })
})

/** Whatever comes, a parser returns or throws its own error. */
function survives(body: Uint8Array): void {
  for (const dialect of [STANDARD, dialectOf('standard-1.1')]) {
    const parsed = parseMessage(body, dialect)
    if (parsed.kind !== 'message') continue
    for (const parse of [parseJoinReq, parseRejoinReq, parseAppSKeyReq, parseHomeNsReq]) {
      expectOnly(MessageError, () => parse(parsed.header, parsed.members))
    }
  }
  for (const parse of [parseJoinAns, parseRejoinAns, parseAppSKeyAns, parseHomeNsAns]) {
    expectOnly(AnswerError, () => parse(body))
  }
}

function expectOnly(errorClass: typeof MessageError | typeof AnswerError, run: () => unknown): void {
  try {
    run()
  } catch (error) {
    if (!(error instanceof errorClass)) throw error
  }
}

describe('no input makes a parser throw anything but its own error', () => {
  it('random bytes', () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 400 }), survives), { numRuns: 300 })
  })

  it('random JSON', () => {
    fc.assert(
      fc.property(fc.json(), (text) => {
        survives(bytesOf(text))
      }),
      { numRuns: 300 },
    )
  })

  it.each([
    ['a JoinReq', JOIN_REQ],
    ['an AppSKeyReq', APP_S_KEY_REQ],
    ['a RejoinReq', REJOIN_REQ],
    ['a HomeNSReq', HOME_NS_REQ],
    ['a HomeNSAns', { ...HOME_NS_REQ, MessageType: 'HomeNSAns', Result: { ResultCode: 'Success' }, HNetID: 'c00053' }],
    ['a JoinAns', { ...JOIN_REQ, MessageType: 'JoinAns', Result: { ResultCode: 'Success' }, NwkSKey: {}, AppSKey: {} }],
  ])('%s with one member replaced by anything', (_, message: Readonly<Message>) => {
    const replaced = fc.record({ name: fc.constantFrom(...Object.keys(message)), value: fc.jsonValue() })
    fc.assert(
      fc.property(replaced, ({ name, value }) => {
        survives(bytesOf(JSON.stringify({ ...message, [name]: value })))
      }),
      { numRuns: 1000 },
    )
  })

  it('a JoinReq with one byte changed', () => {
    const body = bytesOf(JSON.stringify(JOIN_REQ))
    const change = fc.record({ at: fc.nat(body.length - 1), byte: fc.nat(255) })
    fc.assert(
      fc.property(change, ({ at, byte }) => {
        survives(body.with(at, byte))
      }),
      { numRuns: 2000 },
    )
  })
})

describe('member names', () => {
  const object = fc.dictionary(fc.string({ unit: 'binary' }), fc.jsonValue({ maxDepth: 6 }))

  function kindOf(text: string): string {
    return parseMessage(bytesOf(text), STANDARD).kind
  }

  it('that occur once in each object are accepted, whatever they and the values are', () => {
    fc.assert(
      fc.property(object, (extension) => {
        expect(kindOf(JSON.stringify({ ...JOIN_REQ, Extension: extension }))).toBe('message')
      }),
    )
  })

  it('that occur twice anywhere are refused', () => {
    const withMembers = object.filter((value) => Object.keys(value).length > 0)
    fc.assert(
      fc.property(withMembers, fc.nat(), fc.jsonValue(), (extension, pick, value) => {
        const names = Object.keys(extension)
        const twice = JSON.stringify(names[pick % names.length])
        const inner = `{${twice}:${JSON.stringify(value)},${JSON.stringify(extension).slice(1)}`
        expect(kindOf(`{"Extension":[${inner}],${JSON.stringify(JOIN_REQ).slice(1)}`)).toBe('malformed')
      }),
    )
  })
})
