import { dialectOf } from '@mortise/backend-interfaces'
import { describe, expect, test } from 'vitest'
import { answerLater, createMessageHandler } from '../../src/http/backend-interfaces/index.ts'
import { Metrics } from '../../src/http/metrics.ts'
import { type AuthenticatedPeer, PeerDirectory } from '../../src/identity/index.ts'
import { JoinError, type JoinErrorCode } from '../../src/join/index.ts'
import type { Forward } from '../../src/routing/index.ts'
import type { Peer } from '../../src/storage/index.ts'
import { newCertificate, newPeer } from '../storage/fixtures.ts'

const HEADER = { ProtocolVersion: '1.0', ReceiverID: '70b3d57ed0000000', TransactionID: 988596437 }
const NS = { ...HEADER, SenderID: '000013' }
/** The frame is of JoinEUI 70b3d57ed0000000; ReceiverID may say something else. */
const ACTIVATION = {
  ...{ MACVersion: '1.0.3', DevEUI: '2948d1c897e855de', DevAddr: '264e6866', DLSettings: '12', RxDelay: 3 },
  PHYPayload: '00000000d07ed5b370de55e897c8d148290100bbcc0b96',
}
const REJOIN = { DevEUI: '0102030405060708', PHYPayload: 'c00001020308070605040302017b00dad3e7ee', DLSettings: 'a3' }
const MESSAGES = {
  JoinReq: { ...NS, ...ACTIVATION, ReceiverID: 'ffffffffffffffff' },
  RejoinReq: { ...NS, ...ACTIVATION, ...REJOIN },
  HomeNSReq: { ...NS, DevEUI: '2948d1c897e855de' },
  AppSKeyReq: { ...HEADER, SenderID: 'as.example', DevEUI: '2948d1c897e855de', SessionKeyID: '01' },
} as const
type MessageType = keyof typeof MESSAGES

function peerOf(messageType: MessageType, change: Partial<Peer> = {}): AuthenticatedPeer {
  const who = messageType === 'AppSKeyReq' ? ({ kind: 'as', id: 'as.example' } as const) : {}
  const certificates = [newCertificate({ fingerprint: 'aa', notBefore: 0, notAfter: Infinity })]
  const peers = new PeerDirectory({ listPeers: () => [newPeer({ ...who, certificates, ...change })] })
  return peers.authenticate({ fingerprint: 'aa', read: () => undefined }, Date.now()) as AuthenticatedPeer
}

/** The order of decisions, where every use-case refuses so, and everything forwarded is answered `theirs`. */
function refusing(code: JoinErrorCode) {
  const forwarded: Parameters<Forward>[0][] = []
  const error = () => new JoinError(code)
  const handle = createMessageHandler({
    answerJoin: () => Promise.reject(error()),
    releaseAppSKey: () => Promise.reject(error()),
    findHomeNetwork: () => {
      throw error()
    },
    forward: (request) => {
      forwarded.push(request)
      return request.isForwarded ? undefined : Promise.resolve('theirs')
    },
    metrics: new Metrics(),
    refused: () => undefined,
  })
  return { handle, forwarded }
}

const bytesOf = (MessageType: MessageType) => Buffer.from(JSON.stringify({ ...MESSAGES[MessageType], MessageType }))
const types = Object.keys(MESSAGES) as MessageType[]

describe('what is asked of another join server', () => {
  // To Go the long s is an s.
  const lookAlikes = types.flatMap((messageType) => [
    [messageType, 'senderid'] as const,
    [messageType, '\u017fenderID'] as const,
  ])
  test.each(lookAlikes)('is no %s in which a member could be taken for another: %s', async (messageType, name) => {
    const { handle, forwarded } = refusing('device_unknown')
    const body = JSON.stringify({ ...MESSAGES[messageType], MessageType: messageType, [name]: '000099' })
    const { body: answer } = await handle(peerOf(messageType), Buffer.from(body))
    expect([forwarded, answer]).toEqual([[], expect.stringContaining('UnknownDevEUI')])
    await handle(peerOf(messageType), Buffer.from(body.replace(name, 'vendor')))
    expect(forwarded).toHaveLength(1)
  })

  test.each(types)('is a %s for a device that is not known here, as it came', async (messageType) => {
    const { handle, forwarded } = refusing('device_unknown')
    const body = bytesOf(messageType)
    const peer = peerOf(messageType)
    let handedOver = 0
    const context = { isForwarded: false, handedOver: () => (handedOver += 1) }
    expect(await handle(peer, body, context)).toEqual({ status: 200, body: 'theirs' })
    expect(forwarded).toMatchObject([{ peer, dialect: dialectOf('standard-1.0'), joinEui: '70b3d57ed0000000' }])
    expect(forwarded[0]?.body).toBe(body)
    expect(handedOver).toBe(1)
  })

  test.each(types)('is no %s that another join server had before: it is refused here', async (messageType) => {
    const { handle } = refusing('device_unknown')
    let handedOver = 0
    const context = { isForwarded: true, handedOver: () => (handedOver += 1) }
    const { body } = await handle(peerOf(messageType), bytesOf(messageType), context)
    expect(JSON.parse(body)).toMatchObject({ Result: { ResultCode: 'UnknownDevEUI' } })
    expect(handedOver).toBe(0)
  })

  // A HomeNSReq without an agreement, above all: it must not tell whether the device is here.
  test.each([
    ['HomeNSReq', 'roaming_agreement_missing', 'NoRoamingAgreement'],
    ['HomeNSReq', 'device_not_activated', 'ActivationDisallowed'],
    ['JoinReq', 'mic_mismatch', 'MICFailed'],
    ['JoinReq', 'network_not_allowed', 'NoRoamingAgreement'],
    ['JoinReq', 'storage_failed', 'Other'],
    ['AppSKeyReq', 'session_unknown', 'UnknownDevEUI'],
    ['AppSKeyReq', 'application_server_not_allowed', 'ActivationDisallowed'],
  ] as const)('is no %s that is refused for %s', async (messageType, code, result) => {
    const { handle, forwarded } = refusing(code)
    const { body } = await handle(peerOf(messageType), bytesOf(messageType))
    expect(JSON.parse(body)).toMatchObject({ Result: { ResultCode: result } })
    expect(forwarded).toEqual([])
  })

  test('is nothing of a sender that is not the one of the certificate', async () => {
    const { handle, forwarded } = refusing('device_unknown')
    const { body } = await handle(peerOf('JoinReq', { id: '000014' }), bytesOf('JoinReq'))
    expect(JSON.parse(body)).toMatchObject({ Result: { ResultCode: 'UnknownSender' } })
    expect(forwarded).toEqual([])
  })
})

test('a join server that forwards is answered in the response, although its peer takes answers at a URL', async () => {
  const { handle } = refusing('device_unknown')
  const taken: Uint8Array[] = []
  const later = answerLater(handle, {
    take: (_peer, body) => {
      taken.push(body)
      return Promise.resolve(true)
    },
  })
  const peer = peerOf('JoinReq', { asyncUrl: 'https://ns.example/' })
  const forwarded = await later(peer, bytesOf('JoinReq'), { isForwarded: true, handedOver: () => undefined })
  expect(JSON.parse(forwarded.body)).toMatchObject({ Result: { ResultCode: 'UnknownDevEUI' } })
  expect(taken).toEqual([])
  expect(await later(peer, bytesOf('JoinReq'))).toEqual({ status: 200, body: '' })
  expect(taken).toHaveLength(1)
})
