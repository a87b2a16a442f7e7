import { setTimeout as delay } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { startListener } from '../support/listener.ts'
import { until } from '../support/server.ts'
import type { WireClient } from '../support/wire-client.ts'

const openOf = (clients: readonly WireClient[]): number => clients.filter(({ closed }) => !closed).length

/** A handler whose answers leave when the test says so. */
function heldAnswers() {
  const waiting: (() => void)[] = []
  let asked = 0
  const handle = () => {
    asked += 1
    return new Promise<{ status: number; body: string }>((resolve) => {
      waiting.push(() => {
        resolve({ status: 200, body: '{"answered":true}' })
      })
    })
  }
  return {
    handle,
    get asked() {
      return asked
    },
    release: () => {
      for (const answer of waiting.splice(0)) answer()
    },
  }
}

describe('idle connections', () => {
  it('that served one request, or none, are closed soon; one that was used again is kept', async () => {
    await using listener = await startListener({ firstIdleMs: 100, reusedIdleMs: 60_000 })
    const [silent, once, reused] = await Promise.all([listener.connect(), listener.connect(), listener.connect()])
    await once.exchange()
    await reused.exchange()
    await reused.exchange()
    await until(() => silent.closed && once.closed)
    await delay(500)
    expect(reused.closed).toBe(false)
    await reused.exchange()
    expect(reused.statuses).toEqual([200, 200, 200])
    expect(listener.connections).toBe(1)
  })

  it('that were used again are closed too, later', async () => {
    await using listener = await startListener({ firstIdleMs: 60_000, reusedIdleMs: 100 })
    const [once, reused] = await Promise.all([listener.connect(), listener.connect()])
    await once.exchange()
    await reused.exchange()
    await reused.exchange()
    await until(() => reused.closed)
    expect(once.closed).toBe(false)
  })

  it('are announced with a little less than their time, so that a peer lets go first', async () => {
    await using listener = await startListener({ firstIdleMs: 5000, reusedIdleMs: 60_000 })
    const client = await listener.connect()
    await client.exchange()
    await client.exchange()
    expect(client.received.match(/Keep-Alive: .*/g)?.map((line) => line.trim())).toEqual([
      'Keep-Alive: timeout=4',
      'Keep-Alive: timeout=59',
    ])
    client.send('{}', 'Connection: close\r\n')
    await until(() => client.closed)
    expect(client.received.match(/Keep-Alive: .*/g)).toHaveLength(2)
  })
})

describe('when the most connections that are allowed are open', () => {
  it('the longest idle makes room, so that a client that opens one per request locks nobody out', async () => {
    await using listener = await startListener({ connections: 32 })
    const kept = await listener.connect()
    await kept.exchange()
    await kept.exchange()
    const clients: WireClient[] = []
    for (let i = 0; i < 80; i++) {
      const client = await listener.connect()
      await client.exchange()
      clients.push(client)
    }
    await until(() => openOf(clients) < 32)
    // The youngest are still there, and so is the one that was used again.
    expect(openOf(clients.slice(-25))).toBe(25)
    expect(openOf(clients.slice(0, 45))).toBe(0)
    await kept.exchange()
    expect(new Set(listener.refused)).toEqual(new Set(['room']))
  })

  it('none is closed while there is room', async () => {
    await using listener = await startListener({ connections: 32 })
    const clients: WireClient[] = []
    for (let i = 0; i < 29; i++) clients.push(await listener.connect())
    for (const client of clients) await client.exchange()
    expect(openOf(clients)).toBe(29)
    expect(listener.refused).toEqual([])
  })

  it('one that sends a request without end makes room, when none is idle', async () => {
    await using listener = await startListener({ connections: 32, requestTimeoutMs: 60_000 })
    const slow: WireClient[] = []
    for (let i = 0; i < 50; i++) {
      const client = await listener.connect()
      client.socket.write('POST / HTTP/1.1\r\nHost: js\r\nContent-Length: 500\r\n\r\n{')
      slow.push(client)
    }
    await until(() => openOf(slow) < 32)
    expect(openOf(slow)).toBeGreaterThan(25)
    await (await listener.connect()).exchange()
    expect(new Set(listener.refused)).toEqual(new Set(['room']))
  })

  it('nothing that waits for its answer makes room: the next one is not taken until somebody is idle', async () => {
    const answers = heldAnswers()
    await using listener = await startListener({ connections: 8 }, answers.handle)
    const clients = await Promise.all(Array.from({ length: 8 }, () => listener.connect()))
    for (const client of clients) client.send()
    await until(() => answers.asked === 8)
    expect((await listener.connect()).closed).toBe(true)
    expect(listener.refused).toEqual(['connections'])
    answers.release()
    await until(() => clients.every(({ statuses }) => statuses.length === 1))
    await until(() => openOf(clients) < 8)
    const next = await listener.connect()
    next.send()
    await until(() => answers.asked === 9)
    answers.release()
    await until(() => next.statuses.length === 1)
    expect(new Set(listener.refused)).toEqual(new Set(['connections', 'room']))
  })
})

describe('handshakes', () => {
  it('that do not come to an end are cut off, also one that sends a byte now and then', async () => {
    await using listener = await startListener({ handshakeTimeoutMs: 300 })
    const [silent, slow] = await Promise.all([listener.connectBytes(), listener.connectBytes()])
    // The head of a TLS record that holds a long ClientHello.
    const bytes = [0x16, 0x03, 0x01, 0x02, 0x00, 0x01, 0x00, 0x01, 0xfc, 0x03, 0x03]
    const sending = setInterval(() => slow.socket.write(Buffer.of(bytes.shift() ?? 0)), 50)
    await until(() => silent.closed && slow.closed)
    clearInterval(sending)
    expect(listener.connections).toBe(0)
    await (await listener.connect()).exchange()
  })

  it('of one address cannot take all places: another still gets in, and the same one when some are free', async () => {
    await using listener = await startListener({ handshakes: 8, handshakeTimeoutMs: 60_000 })
    const flood = await Promise.all(Array.from({ length: 20 }, () => listener.connectBytes('127.0.0.2')))
    await until(() => openOf(flood) === 8)
    expect(new Set(listener.refused)).toEqual(new Set(['handshakes']))
    await (await listener.connect({ localAddress: '127.0.0.3' })).exchange()
    expect((await listener.connect({ localAddress: '127.0.0.2' })).closed).toBe(true)
    for (const { socket } of flood) socket.destroy()
    await until(() => listener.connections === 1)
    await (await listener.connect({ localAddress: '127.0.0.2' })).exchange()
  })
})

describe('a connection that is refused', () => {
  it('costs nobody a connection; one that is taken makes room for itself', async () => {
    await using listener = await startListener({ connections: 32, handshakes: 4, handshakeTimeoutMs: 60_000 })
    const idle: WireClient[] = []
    for (let i = 0; i < 26; i++) idle.push(await listener.connect())
    const flood = await Promise.all(Array.from({ length: 24 }, () => listener.connectBytes('127.0.0.2')))
    await until(() => openOf(flood) === 4)
    expect(openOf(idle)).toBe(26)
    expect(listener.refused).toEqual(Array(20).fill('handshakes'))
    const taken = await listener.connect({ localAddress: '127.0.0.3' })
    await until(() => openOf(idle) === 25)
    expect(listener.refused.slice(20)).toEqual(['room'])
    await taken.exchange()
  })

  it('because all are open makes room for its next attempt, unless its network has more than its share', async () => {
    const answers = heldAnswers()
    const limits = { connections: 16, handshakes: 4, handshakeTimeoutMs: 60_000 }
    await using listener = await startListener(limits, answers.handle)
    const flood = await Promise.all(Array.from({ length: 4 }, () => listener.connectBytes('127.0.0.2')))
    for (let i = 0; i < 11; i++) (await listener.connect()).send()
    await until(() => answers.asked === 11)
    const idle = await listener.connect()
    // The handshakes hold all that there is, and one idle connection is the only one that could go.
    await until(() => listener.connections === 16)
    const greedy = await listener.connectBytes('127.0.0.2')
    await until(() => greedy.closed)
    expect([openOf(flood), idle.closed]).toEqual([4, false])
    expect((await listener.connect({ localAddress: '127.0.0.3' })).closed).toBe(true)
    await until(() => idle.closed)
    expect((await listener.connect({ localAddress: '127.0.0.3' })).closed).toBe(false)
    answers.release()
  })
})

describe('slow peers', () => {
  it.each([
    ['headers', 'POST / HTTP/1.1\r\nHost: js\r\nX-', 'a'],
    ['a body', 'POST / HTTP/1.1\r\nHost: js\r\nContent-Length: 5000\r\n\r\n', ' '],
  ])('that send %s byte by byte are cut off', async (_what, start, byte) => {
    await using listener = await startListener({ headersTimeoutMs: 500, requestTimeoutMs: 500, firstIdleMs: 60_000 })
    const client = await listener.connect()
    client.socket.write(start)
    const sending = setInterval(() => client.socket.write(byte), 20)
    await until(() => client.closed)
    clearInterval(sending)
    expect(client.received).toBe('')
  })

  it('that take less time than allowed are answered', async () => {
    await using listener = await startListener({ headersTimeoutMs: 5000, requestTimeoutMs: 5000 })
    const client = await listener.connect()
    for (const byte of 'POST / HTTP/1.1\r\nHost: js\r\nContent-Length: 2\r\n\r\n{}') {
      client.socket.write(byte)
      await delay(2)
    }
    await until(() => client.statuses.length === 1)
    expect(client.statuses).toEqual([200])
  })

  it('that do not read their answer are cut off; one that reads gets it all', async () => {
    // More than the kernel keeps for a connection.
    const body = JSON.stringify({ padding: 'x'.repeat(30_000_000) })
    const handle = () => Promise.resolve({ status: 200, body })
    await using listener = await startListener({ answerTimeoutMs: 2000, firstIdleMs: 60_000 }, handle)
    const [deaf, reading] = await Promise.all([listener.connect(), listener.connect()])
    deaf.socket.pause()
    deaf.send()
    reading.send()
    await until(() => reading.received.endsWith('"}'))
    expect(reading.received.length).toBeGreaterThan(body.length)
    await until(() => listener.connections === 1)
    expect(reading.closed).toBe(false)
  })

  it('that send request upon request and read no answer have but some of them looked at', async () => {
    let handled = 0
    await using listener = await startListener({ answerTimeoutMs: 1000 }, () => {
      handled += 1
      return Promise.resolve({ status: 200, body: JSON.stringify({ padding: 'x'.repeat(500) }) })
    })
    const deaf = await listener.connect()
    deaf.socket.pause()
    for (let i = 0; i < 50_000; i++) deaf.send()
    await until(() => handled > 0 && listener.connections === 0)
    expect(handled).toBeLessThan(25_000)
    const reading = await listener.connect()
    for (let i = 0; i < 100; i++) reading.send()
    await until(() => reading.statuses.length === 100)
  })
})

describe('a peer that says that it will send no more', () => {
  it('still gets the answer that is in flight', async () => {
    const answers = heldAnswers()
    await using listener = await startListener({}, answers.handle)
    const client = await listener.connect()
    client.send()
    client.socket.end()
    await until(() => answers.asked === 1)
    await delay(100)
    answers.release()
    await until(() => client.closed)
    expect(client.json).toEqual({ answered: true })
    expect(listener.connections).toBe(0)
  })

  it('and asked for nothing, is closed at once; so is one in the middle of a body', async () => {
    await using listener = await startListener()
    const [idle, half] = await Promise.all([listener.connect(), listener.connect()])
    half.socket.write('POST / HTTP/1.1\r\nHost: js\r\nContent-Length: 500\r\n\r\n{')
    idle.socket.end()
    half.socket.end()
    await until(() => idle.closed && half.closed && listener.connections === 0)
  })
})
