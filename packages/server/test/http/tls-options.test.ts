import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { makeCertificate, type TestCertificate } from '../support/certificates.ts'
import { startListener, type TestListener } from '../support/listener.ts'
import { until } from '../support/server.ts'

/** Seen by OpenSSL's own client: another implementation than the one that serves, with the options of a rude one. */

let directory: string
let certificate: TestCertificate
let listener: TestListener

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'mortise-tls-'))
  certificate = makeCertificate('client')
  writeFileSync(join(directory, 'cert.pem'), certificate.cert)
  writeFileSync(join(directory, 'key.pem'), certificate.key)
  listener = await startListener()
})
afterAll(async () => {
  await listener[Symbol.asyncDispose]()
  rmSync(directory, { recursive: true })
})

/** Runs `openssl s_client`; when it is connected, says something, and waits for what that leads to. Gives its output. */
async function client(port: number, options: readonly string[], say?: string, leadsTo?: RegExp): Promise<string> {
  const connect = ['s_client', '-connect', `127.0.0.1:${port}`, '-cert', 'cert.pem', '-key', 'key.pem']
  const child = spawn('openssl', [...connect, ...options], { cwd: directory })
  let output = ''
  let ended = false
  child.on('close', () => (ended = true))
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => (output += chunk.toString()))
  // It may have ended before it is told to.
  child.stdin.on('error', () => undefined)
  await until(() => ended || /^Verif(y|ication).*$/m.test(output))
  if (say !== undefined) child.stdin.write(say)
  if (leadsTo !== undefined) await until(() => ended || leadsTo.test(output))
  child.stdin.end()
  await until(() => ended)
  return output
}

/** A server as Node makes it by itself, that takes the same certificate. */
async function serveWithDefaults(options: object): Promise<{ port: number } & Disposable> {
  const server = createServer({ ...certificate, requestCert: true, rejectUnauthorized: false, ...options })
  server.on('request', (_request, response) => response.end())
  server.on('tlsClientError', (_error, socket) => socket.destroy())
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  return {
    port,
    [Symbol.dispose]() {
      server.close()
      server.closeAllConnections()
    },
  }
}

async function expectAnswers(): Promise<void> {
  const peer = await listener.connect()
  await peer.exchange()
  expect(peer.statuses).toEqual([200])
}

const RENEGOTIATED = /RENEGOTIATING[\s\S]*verify return/
const REFUSED = /RENEGOTIATING[\s\S]*no renegotiation/

describe('TLS 1.2 renegotiation by the client', () => {
  it('is refused, and the server lives on', async () => {
    const output = await client(listener.port, ['-tls1_2'], 'R\n', REFUSED)
    expect(output).toMatch(REFUSED)
    expect(output).not.toMatch(RENEGOTIATED)
    await expectAnswers()
  })

  it('is what Node allows by itself', async () => {
    using server = await serveWithDefaults({})
    expect(await client(server.port, ['-tls1_2'], 'R\n', RENEGOTIATED)).toMatch(RENEGOTIATED)
  })
})

describe('protocol versions and ciphers', () => {
  it.each([
    ['-tls1_3', 'TLS_AES_128_GCM_SHA256'],
    ['-tls1_2', 'ECDHE-ECDSA-AES128-GCM-SHA256'],
  ])('%s: the server chooses %s', async (version, cipher) => {
    expect(await client(listener.port, [version])).toContain(`Cipher is ${cipher}`)
  })

  it('the client may have another of the list: ChaCha20 where it has no AES in hardware', async () => {
    const options = ['-tls1_2', '-cipher', 'ECDHE-ECDSA-CHACHA20-POLY1305']
    expect(await client(listener.port, options)).toContain('Cipher is ECDHE-ECDSA-CHACHA20-POLY1305')
  })

  it.each([
    ['a cipher without authenticated encryption', ['-tls1_2', '-cipher', 'ECDHE-ECDSA-AES128-SHA256:@SECLEVEL=0']],
    ['TLS 1.1', ['-tls1_1', '-cipher', 'ALL:@SECLEVEL=0']],
  ])('%s: no connection', async (_name, options) => {
    expect(await client(listener.port, options)).toContain('Cipher is (NONE)')
    await expectAnswers()
    // The client would, and a server that is told to does.
    using lax = await serveWithDefaults({ minVersion: 'TLSv1.1', ciphers: 'ALL:@SECLEVEL=0' })
    expect(await client(lax.port, options)).not.toContain('Cipher is (NONE)')
  })
})

describe('sessions', () => {
  it.each(['-tls1_2', '-tls1_3'])('%s: none is resumed, where Node by itself would', async (version) => {
    using server = await serveWithDefaults({})
    for (const [port, resumed] of [
      [listener.port, false],
      [server.port, true],
    ] as const) {
      await client(port, [version, '-sess_out', 'session.pem'], 'GET / HTTP/1.1\nHost: js\n\n', /HTTP\/1.1 \d/)
      const again = await client(port, [version, '-sess_in', 'session.pem'])
      expect(/^Reused, /m.test(again)).toBe(resumed)
    }
  })
})
