import { setTimeout as delay } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { createMessageHandler } from '../../src/http/backend-interfaces/index.ts'
import { Metrics } from '../../src/http/metrics.ts'
import { JoinError } from '../../src/join/index.ts'
import { startListener, type TestListener } from '../support/listener.ts'
import { until } from '../support/server.ts'
import type { WireClient } from '../support/wire-client.ts'

const JOIN_REQ = {
  ...{ ProtocolVersion: '1.0', SenderID: '000013', ReceiverID: '70b3d57ed0000000', TransactionID: 988596437 },
  ...{ MessageType: 'JoinReq', MACVersion: '1.0.3', DevEUI: '2948d1c897e855de', DevAddr: '264e6866' },
  ...{ PHYPayload: '00000000d07ed5b370de55e897c8d148290100bbcc0b96', DLSettings: '12', RxDelay: 3 },
}

/** A listener with the real order of decisions, for which no device is known. */
function startDeciding(limits: Parameters<typeof startListener>[0] = {}): Promise<TestListener> {
  const refuseUnknown = () => {
    throw new JoinError('device_unknown')
  }
  const unknown = () => Promise.reject(new JoinError('device_unknown'))
  const handle = createMessageHandler({
    ...{ answerJoin: unknown, releaseAppSKey: unknown, findHomeNetwork: refuseUnknown, metrics: new Metrics() },
    forward: () => undefined,
    refused: () => undefined,
  })
  return startListener(limits, handle)
}

const resultOf = ({ json }: WireClient): string => (json as { Result: { ResultCode: string } }).Result.ResultCode

/** What a refusal mirrors of its request. */
const MIRRORED = {
  MessageType: 'JoinAns',
  SenderID: '70b3d57ed0000000',
  ReceiverID: '000013',
  TransactionID: 988596437,
}

describe('a stranger', () => {
  it.each(['own', 'none'] as const)(
    'with %s certificate gets the Result that a peer would, and its connection ends',
    async (certificate) => {
      await using listener = await startDeciding()
      const stranger = await listener.connectStranger(certificate === 'none' ? 'none' : undefined)
      await stranger.exchange(JSON.stringify(JOIN_REQ))
      expect(stranger.json).toMatchObject({ ...MIRRORED, Result: { ResultCode: 'UnknownSender' } })
      await until(() => stranger.closed)
      const peer = await listener.connect()
      await peer.exchange(JSON.stringify(JOIN_REQ))
      expect(peer.json).toMatchObject({ ...MIRRORED, Result: { ResultCode: 'UnknownDevEUI' } })
      await delay(100)
      expect(peer.closed).toBe(false)
    },
  )

  it('is refused before it has sent a body larger than any message; a peer may send it', async () => {
    await using listener = await startDeciding()
    const body = JSON.stringify({ ...JOIN_REQ, Padding: 'x'.repeat(60_000) })
    const head = `POST / HTTP/1.1\r\nHost: js\r\nContent-Length: ${body.length}\r\n\r\n`
    const [stranger, peer] = await Promise.all([listener.connectStranger(), listener.connect()])
    for (const { socket } of [stranger, peer]) socket.write(head)
    await until(() => stranger.statuses.length === 1)
    expect([stranger.statuses, resultOf(stranger)]).toEqual([[200], 'UnknownSender'])
    expect(peer.statuses).toEqual([])
    for (const { socket } of [stranger, peer]) socket.write(body)
    await until(() => stranger.closed && peer.statuses.length === 1)
    expect(resultOf(peer)).toBe('UnknownDevEUI')
  })

  it('gets its refusal also in the middle of a body whose length it did not say, and is not listened to for long', async () => {
    await using listener = await startDeciding()
    const stranger = await listener.connectStranger()
    stranger.socket.write('POST / HTTP/1.1\r\nHost: js\r\nTransfer-Encoding: chunked\r\n\r\n')
    const sending = setInterval(() => stranger.socket.write(`400\r\n${'x'.repeat(0x400)}\r\n`), 5)
    await until(() => stranger.closed)
    clearInterval(sending)
    expect([stranger.statuses, resultOf(stranger)]).toEqual([[200], 'UnknownSender'])
  })

  it('makes way for the next one, and never for a peer: only so many are open', async () => {
    await using listener = await startDeciding({ strangers: 3 })
    const peer = await listener.connect()
    const strangers: WireClient[] = []
    for (let i = 0; i < 8; i++) strangers.push(await listener.connectStranger())
    await until(() => strangers.filter(({ closed }) => !closed).length === 3)
    expect(strangers.slice(-3).some(({ closed }) => closed)).toBe(false)
    expect(listener.refused).toEqual(Array(5).fill('strangers'))
    await peer.exchange(JSON.stringify(JOIN_REQ))
    await strangers.at(-1)?.exchange(JSON.stringify(JOIN_REQ))
    expect(strangers.map(({ statuses }) => statuses.length)).toEqual([0, 0, 0, 0, 0, 0, 0, 1])
  })
})

describe('a request that is refused for its form', () => {
  it.each([
    ['another path', 'POST /elsewhere HTTP/1.1', 404],
    ['another method', 'PUT / HTTP/1.1', 405],
    ['a body of more than 65,536 bytes', 'POST / HTTP/1.1', 400],
  ])('%s: the answer arrives although the client still sends', async (_name, line, status) => {
    await using listener = await startDeciding()
    const client = await listener.connect()
    client.socket.write(`${line}\r\nHost: js\r\nContent-Length: 100000\r\n\r\n${'x'.repeat(1000)}`)
    await until(() => client.statuses.length === 1)
    client.socket.write('x'.repeat(99_000))
    await until(() => client.closed)
    expect([client.statuses, resultOf(client)]).toEqual([[status], 'MalformedMessage'])
  })
})
