import { connect } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { startListener } from '../support/listener.ts'
import { until } from '../support/server.ts'

/** Longer than any of these tests takes, shorter than the limit after which every connection is cut. */
const WELL_BELOW_LIMIT_MS = 6000

function listens(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1')
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
    socket.once('error', () => {
      resolve(false)
    })
  })
}

describe('a listener that closes', () => {
  it('answers what is in flight, takes no new connection, and ends those that would be kept alive', async () => {
    let answer: () => void = () => undefined
    let asked = 0
    await using listener = await startListener({ firstIdleMs: 60_000 }, () => {
      asked += 1
      if (asked < 3) return Promise.resolve({ status: 200, body: '{}' })
      return new Promise((resolve) => {
        answer = () => {
          resolve({ status: 200, body: '{"answered":true}' })
        }
      })
    })
    const [busy, idle, reused, silent] = await Promise.all(Array.from({ length: 4 }, () => listener.connect()))
    await idle!.exchange()
    await reused!.exchange()
    expect(await listens(listener.port)).toBe(true)
    busy!.send()
    await until(() => asked === 3)
    const started = performance.now()
    const closed = listener.close()
    await until(() => idle!.closed && reused!.closed)
    expect(await listens(listener.port)).toBe(false)
    expect(busy!.closed).toBe(false)
    answer()
    await closed
    await until(() => busy!.closed && silent!.closed)
    expect(busy!.json).toEqual({ answered: true })
    expect(busy!.received).toContain('Connection: close')
    // Whoever would have been waited for would have been cut at the limit.
    expect(performance.now() - started).toBeLessThan(WELL_BELOW_LIMIT_MS)
  })

  it('does not wait for a handshake that does not go on', async () => {
    await using listener = await startListener()
    const silent = await listener.connectBytes()
    await until(() => listener.connections === 1)
    const started = performance.now()
    await listener.close()
    await until(() => silent.closed)
    expect(performance.now() - started).toBeLessThan(WELL_BELOW_LIMIT_MS)
  })

  it('still answers a request that comes as the first one of its connection', async () => {
    await using listener = await startListener()
    const client = await listener.connect()
    const closed = listener.close()
    client.send()
    await closed
    await until(() => client.closed)
    expect(client.json).toEqual({ answered: true })
  })

  it('waits for a sender that is slow, and for one that never ends only so long', async () => {
    await using listener = await startListener({ requestTimeoutMs: 60_000, drainTimeoutMs: 3000 })
    const [slow, never] = await Promise.all([listener.connect(), listener.connect()])
    for (const { socket } of [slow, never]) socket.write('POST / HTTP/1.1\r\nHost: js\r\nContent-Length: 20\r\n\r\n')
    await delay(50)
    const closed = listener.close()
    for (let i = 0; i < 20; i++) {
      slow.socket.write(' ')
      await delay(50)
    }
    await closed
    expect(slow.json).toEqual({ answered: true })
    await until(() => never.closed)
    expect(never.received).toBe('')
  })
})
