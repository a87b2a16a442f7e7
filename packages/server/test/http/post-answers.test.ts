import { once } from 'node:events'
import { mkdirSync, rmSync, utimesSync, writeFileSync } from 'node:fs'
import { createServer, type Server } from 'node:https'
import type { AddressInfo, Socket } from 'node:net'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { TLSSocket } from 'node:tls'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { PostAnswers } from '../../src/http/backend-interfaces/index.ts'
import { NetworkServer, PeerDirectory } from '../../src/identity/index.ts'
import { newCertificate, newPeer, temporaryDirectory } from '../storage/fixtures.ts'
import { makeAuthority, type TestCertificate } from '../support/certificates.ts'

const authority = makeAuthority('CA of the installation')
const nextAuthority = makeAuthority('CA of the installation, renewed')
const NAMES = { alternativeNames: 'DNS:localhost,IP:127.0.0.1', usage: 'serverAuth' }
const own = authority.issue({ usage: 'serverAuth,clientAuth' })
const good = authority.issue(NAMES)
/** With an own TLS context for each, some two gigabytes. */
const REFUSED = 2000
const MEBIBYTE = 1_048_576

/** Where a network server takes its answers. */
class Inbox implements AsyncDisposable {
  readonly received: { readonly body: string; readonly client: string }[] = []
  status = 200
  readonly #server: Server

  private constructor(certificate: TestCertificate) {
    const { cert, key } = certificate
    this.#server = createServer({ cert, key, requestCert: true, rejectUnauthorized: false }, (request, response) => {
      const chunks: Buffer[] = []
      request.on('data', (chunk: Buffer) => chunks.push(chunk))
      request.on('end', () => {
        this.received.push({ body: Buffer.concat(chunks).toString(), client: fingerprintOf(request.socket) })
        response.writeHead(this.status, { location: 'https://127.0.0.1:1/' }).end()
      })
    })
  }

  static async open(certificate: TestCertificate = good): Promise<Inbox> {
    const inbox = new Inbox(certificate)
    inbox.#server.listen(0, '127.0.0.1')
    await once(inbox.#server, 'listening')
    return inbox
  }

  get url(): string {
    return `https://127.0.0.1:${(this.#server.address() as AddressInfo).port}/answers`
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections()
    this.#server.close()
    await once(this.#server, 'close')
  }
}

/** As in `TestCertificate`. */
function fingerprintOf(socket: Socket): string {
  const certificate = socket instanceof TLSSocket ? socket.getPeerX509Certificate() : undefined
  return certificate?.fingerprint256.replaceAll(':', '').toLowerCase() ?? 'none'
}

function peerAt(asyncUrl: string): NetworkServer {
  const certificates = [newCertificate({ fingerprint: 'aa', notBefore: 0, notAfter: Infinity })]
  const peers = new PeerDirectory({
    listPeers: () => [newPeer({ certificates, asyncUrl, peerId: Buffer.alloc(16, 1) })],
  })
  const found = peers.authenticate({ fingerprint: 'aa', read: () => undefined }, Date.now())
  if (!(found instanceof NetworkServer)) throw new Error('no network server')
  return found
}

describe('answers that are posted', () => {
  let directory: ReturnType<typeof temporaryDirectory>
  let caFile: string
  let poster: PostAnswers
  beforeEach(() => {
    directory = temporaryDirectory()
    caFile = join(directory.path, 'ca.pem')
    writeFileSync(caFile, authority.cert)
    poster = new PostAnswers({ tls: () => own, caFile })
  })
  afterEach(async () => {
    await poster[Symbol.asyncDispose]()
    directory[Symbol.dispose]()
  })

  test('arrive over TLS, with the certificate of the server', async () => {
    await using inbox = await Inbox.open()
    await poster.post(peerAt(inbox.url), 'JoinAns')
    expect(inbox.received).toEqual([{ body: 'JoinAns', client: own.fingerprint }])
  })

  test.each([302, 400, 503])('have not arrived when the status is %i, and are posted nowhere else', async (status) => {
    await using inbox = await Inbox.open()
    inbox.status = status
    await expect(poster.post(peerAt(inbox.url), 'JoinAns')).rejects.toThrow(`HTTP ${status}`)
    inbox.status = 204
    await poster.post(peerAt(inbox.url), 'JoinAns')
  })

  test('go to nobody with a certificate of another authority or for another name', async () => {
    const strangers = [nextAuthority.issue(NAMES), authority.issue({ ...NAMES, alternativeNames: 'DNS:other.example' })]
    for (const stranger of strangers) {
      await using inbox = await Inbox.open(stranger)
      await expect(poster.post(peerAt(inbox.url), 'JoinAns')).rejects.toMatchObject({ code: 'connection' })
      expect(inbox.received).toEqual([])
    }
  })

  test('go to where the peer is now, under the CA that the file has now', async () => {
    await using before = await Inbox.open()
    await using after = await Inbox.open(nextAuthority.issue(NAMES))
    await poster.post(peerAt(before.url), 'one')
    await expect(poster.post(peerAt(after.url), 'two')).rejects.toMatchObject({ code: 'connection' })
    writeFileSync(caFile, nextAuthority.cert)
    utimesSync(caFile, Date.now() / 1000, Date.now() / 1000 + 5)
    await poster.post(peerAt(after.url), 'two')
    expect([before.received.length, after.received.length]).toEqual([1, 1])
  })

  test('wait while the CA cannot be read, and go on when it can be again', async () => {
    await using inbox = await Inbox.open()
    await poster.post(peerAt(inbox.url), 'one')
    rmSync(caFile)
    mkdirSync(caFile)
    // More than one attempt: what it was posted with before must not be closed twice.
    for (let attempt = 0; attempt < 3; attempt++) {
      await expect(poster.post(peerAt(inbox.url), 'two')).rejects.toThrow('EISDIR')
      await delay(20)
    }
    rmSync(caFile, { recursive: true })
    writeFileSync(caFile, authority.cert)
    await poster.post(peerAt(inbox.url), 'two')
    expect(inbox.received.map(({ body }) => body)).toEqual(['one', 'two'])
  })

  test('survive a listener whose key is on a curve without a NIST name', async () => {
    await using inbox = await Inbox.open(authority.issue({ ...NAMES, curve: 'brainpoolP256r1' }))
    await poster.post(peerAt(inbox.url), 'JoinAns')
    expect(inbox.received).toHaveLength(1)
  })

  test('cost next to nothing while nobody listens', async () => {
    const nobody = peerAt('https://127.0.0.1:1/')
    const refused = () => expect(poster.post(nobody, 'JoinAns')).rejects.toMatchObject({ code: 'connection' })
    for (let attempt = 0; attempt < 100; attempt++) await refused()
    const before = process.memoryUsage().rss
    for (let attempt = 0; attempt < REFUSED; attempt++) await refused()
    expect(process.memoryUsage().rss - before).toBeLessThan(300 * MEBIBYTE)
  })
})
