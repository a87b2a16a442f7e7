import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connect } from 'node:tls'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { dataDirectory } from '@mortise/server'
import { FloorProcess } from '../src/bench/floor-process.ts'

/** What the floor is compared with has the product's handshake, or the comparison says nothing. */

let root: string
let cert: string
let key: string

beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), 'mortise-floor-'))
  const { tlsCertificate, tlsKey } = dataDirectory(root)
  mkdirSync(join(root, 'tls'))
  const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-noenc', '-subj', '/CN=localhost']
  execFileSync('openssl', ['req', '-x509', ...curve, '-keyout', tlsKey, '-out', tlsCertificate], { stdio: 'pipe' })
  cert = readFileSync(tlsCertificate, 'utf8')
  key = readFileSync(tlsKey, 'utf8')
})
afterAll(() => {
  rmSync(root, { recursive: true })
})

/** What a server chooses when a client offers everything, and whether that client may resume its session. */
async function handshake(port: number): Promise<{ cipher: string; resumed: boolean }> {
  const first = await exchange(port)
  const second = await exchange(port, first.session)
  return { cipher: first.cipher, resumed: second.resumed }
}

async function exchange(port: number, offered?: Buffer) {
  const options = { port, host: '127.0.0.1', cert, key, ca: cert, checkServerIdentity: () => undefined }
  const socket = connect({ ...options, ...(offered && { session: offered }) })
  let session: Buffer | undefined
  socket.on('session', (given) => (session = given))
  await once(socket, 'secureConnect')
  const { standardName: cipher } = socket.getCipher()
  const resumed = socket.isSessionReused()
  socket.write('POST / HTTP/1.1\r\nHost: js\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}')
  socket.resume()
  await once(socket, 'end')
  socket.destroy()
  return { cipher, resumed, session }
}

describe('the bare server of the benchmark', () => {
  it('chooses AES-128 and resumes no session, as the product does', async () => {
    const plan = { backend: 'soft', macVersion: '1.0.4', devices: 1, networks: [] } as const
    await using floor = await FloorProcess.start({ directory: dataDirectory(root), plan })
    expect(await handshake(floor.port)).toEqual({ cipher: 'TLS_AES_128_GCM_SHA256', resumed: false })
  })

  it('would do neither by itself', async () => {
    const server = createServer({ cert, key, requestCert: true, rejectUnauthorized: false }, (_request, response) => {
      response.end()
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const { port } = server.address() as AddressInfo
    expect(await handshake(port)).toEqual({ cipher: 'TLS_AES_256_GCM_SHA384', resumed: true })
    server.close()
  })
})
