import { setTimeout as delay } from 'node:timers/promises'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { Admission } from '../../src/http/backend-interfaces/index.ts'
import type { HttpAnswer } from '../../src/http/backend-interfaces/handle-message.ts'
import type { AdmissionLimits } from '../../src/http/limits.ts'
import { type AuthenticatedPeer, PeerDirectory } from '../../src/identity/index.ts'
import type { Peer } from '../../src/storage/index.ts'
import { newCertificate, newPeer } from '../storage/fixtures.ts'

/** As many places always, however slow this machine is: where they adapt, a test says so, and how time passes. */
const LIMITS: AdmissionLimits = { messages: 100, mostMessages: 100, leastMessages: 100, answerWithinMs: 1000 }
const ADAPTING: AdmissionLimits = { ...LIMITS, leastMessages: 10 }
const JOIN_REQ = {
  ...{ ProtocolVersion: '1.0', SenderID: '000013', ReceiverID: '70b3d57ed0000000', TransactionID: 988596437 },
  ...{ MessageType: 'JoinReq', MACVersion: '1.0.3', DevEUI: '2948d1c897e855de' },
}

/** Peers as the directory makes them: nothing else can. */
const [ns, other] = ['000013', '000014'].map((id) => {
  const directory = new PeerDirectory({ listPeers: () => [peerRow(id)] })
  return directory.authenticate({ fingerprint: 'aa', read: () => undefined }, Date.now()) as AuthenticatedPeer
}) as [AuthenticatedPeer, AuthenticatedPeer]

function peerRow(id: string): Peer {
  return newPeer({ id, certificates: [newCertificate({ fingerprint: 'aa', notAfter: Infinity })] })
}

/** Messages whose answers leave when the test says so, behind admission. */
function guarded(limits: Partial<AdmissionLimits> = {}) {
  const refused: string[] = []
  const waiting: (() => void)[] = []
  const admission = new Admission({
    limits: { ...LIMITS, ...limits },
    refused: (reason, messageType, result) => refused.push(`${reason} ${messageType} ${result}`),
  })
  const handle = admission.guard(
    () =>
      new Promise<HttpAnswer>((resolve) => {
        waiting.push(() => {
          resolve({ status: 200, body: 'handled' })
        })
      }),
  )
  return {
    admission,
    refused,
    waiting,
    send: (peer: Parameters<typeof handle>[0], message: object | string = JOIN_REQ) =>
      handle(peer, Buffer.from(typeof message === 'string' ? message : JSON.stringify(message))),
    release: async (count = Infinity) => {
      for (const answer of waiting.splice(0, count)) answer()
      await delay(0)
    },
  }
}

afterEach(() => {
  vi.useRealTimers()
})

describe('admission of messages', () => {
  it('refuses at once who has everything in flight, in the words of the request, and admits again after answers', async () => {
    const { send, release, refused, waiting, admission } = guarded()
    const admitted = Array.from({ length: 100 }, () => send(ns))
    expect(admission.inFlight).toBe(100)
    const answer = await send(ns)
    expect(answer.status).toBe(200)
    expect(JSON.parse(answer.body)).toEqual({
      ...{ ProtocolVersion: '1.0', MessageType: 'JoinAns', SenderID: '70b3d57ed0000000', ReceiverID: '000013' },
      ...{ TransactionID: 988596437, Result: { ResultCode: 'Other', Description: 'busy, try again' } },
    })
    expect(refused).toEqual(['share JoinReq Other'])
    expect(waiting).toHaveLength(100)
    await release(1)
    const next = send(ns)
    await release()
    expect(await Promise.all([...admitted, next])).toEqual(Array(101).fill({ status: 200, body: 'handled' }))
    expect(admission.inFlight).toBe(0)
  })

  it('lets another peer have its share while one floods', async () => {
    const { send, release, refused, admission } = guarded()
    for (let i = 0; i < 1000; i++) void send(ns)
    expect(refused).toHaveLength(900)
    for (let i = 0; i < 50; i++) void send(other)
    expect(refused).toHaveLength(900)
    expect(admission.inFlight).toBe(150)
    void send(other)
    expect(refused).toHaveLength(901)
    await release()
  })

  it('refuses nothing below half of the places, whoever asks', async () => {
    const { send, release, refused } = guarded()
    void send(other)
    for (let i = 0; i < 49; i++) void send(ns)
    expect(refused).toEqual([])
    await release()
  })

  it('takes no place for a message that was handed over, however long that takes, and is no slower for it', async () => {
    const admission = new Admission({ limits: { ...LIMITS, messages: 1, leastMessages: 1 }, refused: () => undefined })
    const answers: (() => void)[] = []
    const answered = new Promise<HttpAnswer>((resolve) => {
      answers.push(() => {
        resolve({ status: 200, body: 'theirs' })
      })
    })
    const handle = admission.guard((_caller, _body, context) => {
      context?.handedOver()
      return answered
    })
    const messages = Array.from({ length: 20 }, () => handle(ns, Buffer.from(JSON.stringify(JOIN_REQ))))
    expect(admission.inFlight).toBe(0)
    await delay(20)
    for (const answer of answers) answer()
    expect((await Promise.all(messages)).map(({ body }) => body)).toEqual(Array.from({ length: 20 }, () => 'theirs'))
    expect([admission.inFlight, admission.places]).toEqual([0, 1])
  })

  it('does not stand in the way of strangers, nor of what is no request: they are refused without work', async () => {
    const { send, release, refused, waiting } = guarded()
    for (let i = 0; i < 100; i++) void send(ns)
    void send('unknown')
    void send(ns, 'no JSON')
    void send(ns, { ...JOIN_REQ, MessageType: 'JoinAns' })
    await delay(0)
    expect(waiting).toHaveLength(103)
    expect(refused).toEqual([])
    await release()
  })

  it('gives a place back when a message fails', async () => {
    const { admission } = guarded()
    const failing = admission.guard(() => Promise.reject(new Error('unexpected')))
    for (let i = 0; i < 1000; i++) await expect(failing(ns, Buffer.from('{}'))).rejects.toThrow('unexpected')
    expect(admission.inFlight).toBe(0)
  })

  it('admits as many as are answered in time', async () => {
    vi.useFakeTimers({ toFake: ['performance'] })
    const { admission, send, release } = guarded({ ...ADAPTING, mostMessages: 400 })
    /** Who floods, for a while, a server that answers in the order of asking, so many every 100 ms. */
    const flood = async (perTenth: number): Promise<number> => {
      for (let tenth = 0; tenth < 200; tenth++) {
        while (admission.inFlight < admission.places) void send(ns)
        vi.advanceTimersByTime(100)
        await release(perTenth)
      }
      return admission.places
    }
    /** What came before the bound was right is still in flight for a while. */
    const about = (rightValue: number, places: number): void => {
      expect(places).toBeGreaterThan(0.9 * rightValue)
      expect(places).toBeLessThan(1.1 * rightValue)
    }
    about(30, await flood(3))
    about(200, await flood(20))
    about(400, await flood(100))
    expect(await flood(1)).toBeLessThan(50)
    expect(admission.places).toBeGreaterThanOrEqual(ADAPTING.leastMessages)
    await release()
  })

  it('is not told by messages that are refused at once that there is room', async () => {
    vi.useFakeTimers({ toFake: ['performance'] })
    const { admission, send, release } = guarded({ ...ADAPTING, messages: 50 })
    const refusing = admission.guard(() => Promise.resolve({ status: 200, body: 'refused' }))
    for (let i = 0; i < 40; i++) void send(ns)
    for (let i = 0; i < 500; i++) await refusing(ns, Buffer.from(JSON.stringify(JOIN_REQ)))
    expect(admission.places).toBe(50)
    vi.advanceTimersByTime(100)
    await release()
    expect(admission.places).toBeGreaterThan(50)
  })

  it('takes neither one slow answer for many, nor few quick ones for room', async () => {
    vi.useFakeTimers({ toFake: ['performance'] })
    const { admission, send, release } = guarded(ADAPTING)
    void send(ns)
    vi.advanceTimersByTime(60_000)
    await release()
    const { places } = admission
    expect(places).toBeGreaterThan(95)
    for (let i = 0; i < 50; i++) {
      void send(ns)
      vi.advanceTimersByTime(10)
      await release()
    }
    expect(admission.places).toBe(places)
  })
})
