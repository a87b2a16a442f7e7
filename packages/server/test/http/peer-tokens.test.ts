import { setTimeout as delay } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { hashSecret, newToken, PeerDirectory } from '../../src/identity/index.ts'
import type { Peer } from '../../src/storage/index.ts'
import { newCertificate, newPeer, newToken as newPeerToken } from '../storage/fixtures.ts'
import { makeCertificate, makeExpiredCertificate } from '../support/certificates.ts'
import { startListener, type TestListener } from '../support/listener.ts'
import { until } from '../support/server.ts'
import type { WireClient } from '../support/wire-client.ts'

const value = `Bearer ${newToken()}`
const GOOD = `Authorization: ${value}\r\n`
const WRONG = `Authorization: Bearer ${newToken()}\r\n`
const expired = makeExpiredCertificate('ns')
const LARGE = JSON.stringify({ padding: 'x'.repeat(60_000) })

let peers: Peer[]
let directory: PeerDirectory
let listener: TestListener

/** Says whom the listener takes its client for. */
function start(limits: Parameters<typeof startListener>[0] = {}): Promise<TestListener> {
  const handle: Parameters<typeof startListener>[1] = (caller) =>
    Promise.resolve({ status: 200, body: JSON.stringify(typeof caller === 'string' ? caller : caller.id) })
  return startListener(limits, handle, directory)
}

beforeEach(async () => {
  const token = newPeerToken({ digest: hashSecret(value).toString('hex') })
  const past = { fingerprint: expired.fingerprint, notBefore: 0, notAfter: Date.now() - 1000 }
  peers = [newPeer({ certificates: [newCertificate(past)], tokens: [token] })]
  directory = new PeerDirectory({ listPeers: () => peers })
  listener = await start()
})
afterEach(() => listener[Symbol.asyncDispose]())

async function callerOf(client: WireClient, head: string): Promise<unknown> {
  await client.exchange('{}', head)
  return client.json
}

describe('a peer by its token, over TLS', () => {
  it.each(['none', 'own'] as const)('is let in with %s certificate; a stranger is not', async (certificate) => {
    const connect = () => listener.connectStranger(certificate === 'none' ? 'none' : makeCertificate('stranger'))
    expect(await callerOf(await connect(), GOOD)).toBe('000013')
    expect(await callerOf(await connect(), WRONG)).toBe('unknown')
    expect(await callerOf(await connect(), GOOD + GOOD)).toBe('unknown')
  })

  it('is not let in with an expired certificate of its own beside the token', async () => {
    const client = await listener.connect({ certificate: expired })
    expect(await callerOf(client, GOOD)).toBe('expired')
    expect(await callerOf(await listener.connectStranger('none'), GOOD)).toBe('000013')
  })

  it('shows it in each request: on the same connection, one without is a stranger’s, and the last', async () => {
    const client = await listener.connectStranger('none')
    expect(await callerOf(client, GOOD)).toBe('000013')
    expect(await callerOf(client, GOOD)).toBe('000013')
    expect(await callerOf(client, '')).toBe('unknown')
    await until(() => client.closed)
  })

  it('is refused from the moment at which its token was taken away, on an open connection too', async () => {
    const client = await listener.connectStranger('none')
    expect(await callerOf(client, GOOD)).toBe('000013')
    peers = [{ ...peers[0]!, tokens: [] }]
    directory.reload()
    expect(await callerOf(client, GOOD)).toBe('unknown')
    await until(() => client.closed)
  })

  it('is refused when its token is taken away while it sends', async () => {
    const client = await listener.connectStranger('none')
    client.socket.write(`POST / HTTP/1.1\r\nHost: js\r\n${GOOD}Content-Length: 4\r\n\r\n{ `)
    await delay(100)
    peers = [{ ...peers[0]!, disabled: true }]
    directory.reload()
    client.socket.write(' }')
    await until(() => client.statuses.length > 0)
    expect(client.json).toBe('disabled')
  })

  it('may send a body as large as a peer’s, once its token was found good', async () => {
    const [peer, stranger] = [await listener.connectStranger('none'), await listener.connectStranger('none')]
    await peer.exchange(LARGE, GOOD)
    expect(peer.json).toBe('000013')
    await stranger.exchange(LARGE, WRONG)
    expect(stranger.json).toMatchObject({ Result: { ResultCode: 'UnknownSender' } })
  })
})

describe('a connection on which a token was shown', () => {
  const LIMITS = { strangers: 2, firstIdleMs: 60_000, reusedIdleMs: 60_000 }

  it('is no stranger’s any more: many strangers do not displace it', async () => {
    await using few = await start(LIMITS)
    const [shown, silent] = [await few.connectStranger('none'), await few.connectStranger('none')]
    expect(await callerOf(shown, GOOD)).toBe('000013')
    const others = [await few.connectStranger('none'), await few.connectStranger('none')]
    await until(() => silent.closed)
    expect(few.refused).toEqual(['strangers'])
    expect(await callerOf(shown, GOOD)).toBe('000013')
    expect([shown, ...others].map(({ closed }) => closed)).toEqual([false, false, false])
  })

  it('is kept alive as a peer’s, and closed when it was idle as long', async () => {
    await using short = await start({ firstIdleMs: 100, reusedIdleMs: 2500 })
    const [once, twice] = [await short.connectStranger('none'), await short.connectStranger('none')]
    await callerOf(twice, GOOD)
    expect(twice.received).toContain('Keep-Alive: ')
    await callerOf(twice, GOOD)
    await callerOf(once, GOOD)
    await until(() => once.closed)
    expect(twice.closed).toBe(false)
    await until(() => twice.closed)
  })
})
