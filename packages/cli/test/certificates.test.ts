import { X509Certificate } from 'node:crypto'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { connect, createServer, type TLSSocket } from 'node:tls'
import { beforeAll, describe, expect, test } from 'vitest'
import {
  type CertificateAndKey,
  certificateFingerprint,
  createCa,
  issueClientCertificate,
  issueServerCertificate,
} from '../src/certificates.ts'

const DAY_MS = 86_400_000
let ca: CertificateAndKey
let server: CertificateAndKey
let client: CertificateAndKey
beforeAll(async () => {
  ca = await createCa('Test CA')
  server = await issueServerCertificate(ca, ['localhost', '127.0.0.1', '::1', 'js.example'])
  client = await issueClientCertificate(ca, '000013')
})

const SERVER_AUTH = '1.3.6.1.5.5.7.3.1'
const CLIENT_AUTH = '1.3.6.1.5.5.7.3.2'

function daysOf(certificate: X509Certificate): number {
  return Math.round((certificate.validToDate.getTime() - certificate.validFromDate.getTime()) / DAY_MS)
}

describe('a CA of its own', () => {
  test('is a CA for ten years, and signs what it issues', () => {
    const authority = new X509Certificate(ca.certificate)
    expect(authority.ca).toBe(true)
    expect(daysOf(authority)).toBe(3653)
    for (const { certificate } of [server, client]) {
      const leaf = new X509Certificate(certificate)
      expect(leaf.checkIssued(authority) && leaf.verify(authority.publicKey)).toBe(true)
      expect({ ca: leaf.ca, days: daysOf(leaf) }).toEqual({ ca: false, days: 825 })
    }
  })

  test('gives each certificate the uses that fit: a server posts answers too, a client serves nobody', () => {
    expect(new X509Certificate(server.certificate).keyUsage).toEqual([SERVER_AUTH, CLIENT_AUTH])
    expect(new X509Certificate(client.certificate).keyUsage).toEqual([CLIENT_AUTH])
  })

  test('issues a server certificate for every name and address', () => {
    const certificate = new X509Certificate(server.certificate)
    expect(certificate.checkHost('localhost')).toBe('localhost')
    expect(certificate.checkHost('js.example')).toBe('js.example')
    expect(certificate.checkIP('127.0.0.1')).toBe('127.0.0.1')
    expect(certificate.checkIP('::1')).toBe('::1')
    expect(certificate.checkHost('other.example')).toBeUndefined()
  })

  test('issues a client certificate in the name of the peer, with the fingerprint that orders name', () => {
    const certificate = new X509Certificate(client.certificate)
    expect(certificate.subject).toBe('CN=000013')
    expect(certificateFingerprint(client.certificate)).toBe(
      certificate.fingerprint256.replaceAll(':', '').toLowerCase(),
    )
  })

  test('keeps an AS-ID with characters of the syntax of names in one piece', async () => {
    const { certificate } = await issueClientCertificate(ca, 'a,O=b+"c"')
    expect(new X509Certificate(certificate).toLegacyObject().subject.CN).toBe('a,O=b+"c"')
  })
})

describe('mutual TLS', () => {
  test('succeeds between server and peer', async () => {
    expect(await handshake(client)).toEqual({ authorized: true, commonName: '000013' })
  })

  test('fails for a peer of another CA', async () => {
    const stranger = await issueClientCertificate(await createCa('Test CA'), '000013')
    expect(await handshake(stranger)).toMatchObject({ authorized: false })
  })

  test('succeeds for the server as a client, and fails for a client as the server', async () => {
    expect(await handshake(server)).toMatchObject({ authorized: true })
    await expect(handshake(client, client)).rejects.toThrow(/unsuitable certificate purpose/)
  })
})

/** What the server sees of the peer. */
async function handshake(
  peer: CertificateAndKey,
  shown = server,
): Promise<{ authorized: boolean; commonName: string | undefined }> {
  const options = { cert: shown.certificate, key: shown.privateKey, ca: ca.certificate }
  const listener = createServer({ ...options, requestCert: true, rejectUnauthorized: false })
  listener.listen(0, '127.0.0.1')
  await once(listener, 'listening')
  const { port } = listener.address() as AddressInfo
  const socket = connect({ host: '127.0.0.1', port, ca: ca.certificate, cert: peer.certificate, key: peer.privateKey })
  try {
    // The client may refuse what the server has taken already.
    const [[seen]] = await Promise.all([
      once(listener, 'secureConnection') as Promise<[TLSSocket]>,
      once(socket, 'secureConnect'),
    ])
    const name = seen.getPeerCertificate().subject.CN
    return { authorized: seen.authorized, commonName: Array.isArray(name) ? name[0] : name }
  } finally {
    socket.destroy()
    listener.close()
  }
}
