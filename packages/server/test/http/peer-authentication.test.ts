import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { PeerDirectory } from '../../src/identity/index.ts'
import type { Peer, PeerCertificate } from '../../src/storage/index.ts'
import { newPeer } from '../storage/fixtures.ts'
import {
  makeAuthority,
  makeCertificate,
  makeNamelessCertificate,
  type TestCertificate,
  VALIDITY,
} from '../support/certificates.ts'
import { startListener, type TestListener } from '../support/listener.ts'

const authority = makeAuthority('CA of the operator')
const others = makeAuthority('CA of the operator')
const expiredAuthority = makeAuthority('Expired CA', VALIDITY.past)
const notAuthority = makeAuthority('No CA', { isAuthority: false })
const peerOf = (id: string, name: string, { cert, fingerprint }: TestCertificate = authority): Peer =>
  newPeer({ id, certificates: [], authority: { fingerprint, name, pem: cert } })

/** Says who the listener takes its client for. */
function identifyingListener(directory: PeerDirectory): Promise<TestListener> {
  const handle: Parameters<typeof startListener>[1] = (caller) =>
    Promise.resolve({ status: 200, body: JSON.stringify(typeof caller === 'string' ? caller : caller.id) })
  return startListener({}, handle, directory)
}

async function whoIs(listener: TestListener, certificate: TestCertificate): Promise<unknown> {
  const client = await listener.connect({ certificate })
  await client.exchange()
  client.socket.destroy()
  return client.json
}

function brainpool(issuer: typeof authority): TestCertificate {
  return issuer.issue({ commonName: 'ns.example', alternativeNames: null, curve: 'brainpoolP256r1' })
}

describe('a peer by its CA and its name, over TLS', () => {
  let listener: TestListener
  beforeAll(async () => {
    const peers = [
      peerOf('000013', 'ns.example'),
      peerOf('000014', 'Network server 14'),
      peerOf('000015', 'expired.example', expiredAuthority),
      peerOf('000016', 'none.example', notAuthority),
    ]
    listener = await identifyingListener(new PeerDirectory({ listPeers: () => peers }))
  })
  afterAll(() => listener[Symbol.asyncDispose]())

  const good = authority.issue()
  const accepted: [string, string, TestCertificate][] = [
    ['a DNS name', '000013', good],
    ['another certificate in the same name', '000013', authority.issue()],
    ['one of several DNS names', '000013', authority.issue({ alternativeNames: 'DNS:a.example,DNS:ns.example' })],
    ['a DNS name in capitals', '000013', authority.issue({ alternativeNames: 'DNS:NS.Example' })],
    ['one that servers may have as well', '000013', authority.issue({ usage: 'serverAuth,clientAuth' })],
    ['a common name, where it has no alternative names', '000013', named('ns.example', null)],
    ['a common name that is no DNS name', '000014', named('Network server 14', null)],
    // Node ends with a segmentation fault if asked for such a certificate in its old form.
    ['a common name and a key on a curve without a NIST name', '000013', brainpool(authority)],
  ]
  it.each(accepted)('is let in with %s', async (_name, id, certificate) => {
    expect(await whoIs(listener, certificate)).toBe(id)
  })

  const refused: [string, 'unknown' | 'expired', TestCertificate][] = [
    ['another DNS name', 'unknown', authority.issue({ alternativeNames: 'DNS:ns2.example' })],
    ['a name below', 'unknown', authority.issue({ alternativeNames: 'DNS:a.ns.example' })],
    ['a name above', 'unknown', authority.issue({ alternativeNames: 'DNS:example' })],
    ['a wildcard', 'unknown', authority.issue({ alternativeNames: 'DNS:*.example' })],
    ['the name as another kind of name', 'unknown', authority.issue({ alternativeNames: 'URI:ns.example' })],
    ['the name as common name beside alternative names', 'unknown', named('ns.example', 'DNS:other.example')],
    ['the name as common name beside an address', 'unknown', named('ns.example', 'IP:127.0.0.1')],
    ['a common name in other letters', 'unknown', named('NS.example', null)],
    ['two common names', 'unknown', named('ns.example/CN=ns.example', null)],
    ['another name', 'unknown', named('peer', null)],
    ['no name at all', 'unknown', makeNamelessCertificate()],
    ['the name from another CA of the same name', 'unknown', others.issue()],
    ['the name from itself', 'unknown', makeCertificate('ns.example')],
    ['the name from another CA and a key on a curve without a NIST name', 'unknown', brainpool(others)],
    ['the certificate of the CA', 'unknown', authority],
    ['an expired certificate', 'expired', authority.issue(VALIDITY.past)],
    ['a certificate of an expired CA', 'expired', expiredAuthority.issue({ alternativeNames: 'DNS:expired.example' })],
    ['a certificate of what is no CA', 'unknown', notAuthority.issue({ alternativeNames: 'DNS:none.example' })],
    ['one that only servers may have', 'unknown', authority.issue({ usage: 'serverAuth' })],
    ['one for no purpose in particular', 'unknown', authority.issue({ usage: null })],
    ['one for any purpose', 'unknown', authority.issue({ usage: 'anyExtendedKeyUsage' })],
    ['one that is signed by a broken hash function', 'unknown', authority.issue({ digest: 'sha1' })],
  ]
  it.each(refused)('is not let in with %s', async (_name, refusal, certificate) => {
    expect(await whoIs(listener, certificate)).toBe(refusal)
    expect(await whoIs(listener, good)).toBe('000013')
  })

  it('is not let in through a CA below its own, which is not the one that the operator named', async () => {
    const below = makeAuthority('Below', { signer: authority })
    const { cert, ...leaf } = below.issue()
    expect(await whoIs(listener, { ...leaf, cert: `${cert}${below.cert}` })).toBe('unknown')
    const { cert: direct, ...rest } = good
    expect(await whoIs(listener, { ...rest, cert: `${direct}${below.cert}` })).toBe('000013')
  })

  function named(commonName: string, alternativeNames: string | null): TestCertificate {
    return authority.issue({ commonName, alternativeNames })
  }
})

describe('a request on an open connection', () => {
  const certificates = [makeCertificate('old'), makeCertificate('new')] as const
  let peers: Peer[]
  let directory: PeerDirectory
  let listener: TestListener
  beforeEach(async () => {
    peers = [
      newPeer({ certificates: certificates.map(({ fingerprint }) => known(fingerprint)) }),
      peerOf('000014', 'ns.example'),
    ]
    directory = new PeerDirectory({ listPeers: () => peers })
    listener = await identifyingListener(directory)
  })
  afterEach(() => listener[Symbol.asyncDispose]())

  const known = (fingerprint: string): PeerCertificate => ({
    ...{ fingerprint, subject: 'CN=x', notBefore: 0, notAfter: Infinity, addedAt: 0 },
  })

  it('is refused from the moment at which its certificate was taken away; the other one goes on', async () => {
    const [old, renewed] = await Promise.all(certificates.map((certificate) => listener.connect({ certificate })))
    await Promise.all([old!.exchange(), renewed!.exchange()])
    expect([old!.json, renewed!.json]).toEqual(['000013', '000013'])
    peers[0] = { ...peers[0]!, certificates: [known(certificates[1].fingerprint)] }
    directory.reload()
    await Promise.all([old!.exchange(), renewed!.exchange()])
    expect([old!.json, renewed!.json]).toEqual(['unknown', '000013'])
  })

  it('is refused from the moment at which the CA of its peer was taken away', async () => {
    const client = await listener.connect({ certificate: authority.issue() })
    await client.exchange()
    expect(client.json).toBe('000014')
    peers.length = 1
    directory.reload()
    await client.exchange()
    expect(client.json).toBe('unknown')
  })
})
