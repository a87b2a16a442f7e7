import { X509Certificate } from 'node:crypto'
import { dialectOf } from '@mortise/backend-interfaces'
import { parseNsId } from '@mortise/lorawan'
import { describe, expect, it } from 'vitest'
import { ApplicationServer, type ClientCertificate, NetworkServer, PeerDirectory } from '../../src/identity/index.ts'
import type { Peer } from '../../src/storage/index.ts'
import { newCertificate, newPeer } from '../storage/fixtures.ts'
import { makeAuthority, type TestCertificate } from '../support/certificates.ts'

const NOW = 1_800_000_000_000

function peer(fingerprint: string, change: Partial<Peer> = {}): Peer {
  const validity = { notBefore: NOW - 1000, notAfter: NOW + 1000 }
  return newPeer({ certificates: [newCertificate({ fingerprint, ...validity })], ...change })
}

/** A certificate of which only the fingerprint may be looked at. */
function pinned(fingerprint: string): ClientCertificate {
  return {
    fingerprint,
    read: () => {
      throw new Error('nobody asked for more than the fingerprint')
    },
  }
}

describe('PeerDirectory', () => {
  const peers = [
    peer('aa', { nsId: parseNsId('70b3d57ed0000005') }),
    peer('bb', { kind: 'as', id: 'app.example' }),
    peer('cc', { disabled: true, id: '000014', nsId: parseNsId('70b3d57ed0000006') }),
  ]
  const directory = new PeerDirectory({ listPeers: () => peers })

  it('knows a peer by its certificate, and what kind it is', () => {
    const [ns, as] = [directory.authenticate(pinned('aa'), NOW), directory.authenticate(pinned('bb'), NOW)]
    expect(ns).toBeInstanceOf(NetworkServer)
    expect(ns).toMatchObject({ kind: 'ns', id: '000013', peerId: peers[0]!.peerId, nsId: '70b3d57ed0000005' })
    expect(as).toBeInstanceOf(ApplicationServer)
    expect(as).toMatchObject({ kind: 'as', id: 'app.example', peerId: peers[1]!.peerId })
  })

  it.each([
    ['unknown', 'dd', NOW],
    ['unknown', '', NOW],
    ['disabled', 'cc', NOW],
    ['expired', 'aa', NOW + 1001],
    ['expired', 'aa', NOW - 1001],
  ])('refuses: %s (%s)', (refusal, fingerprint, nowMs) => {
    expect(directory.authenticate(pinned(fingerprint), nowMs)).toBe(refusal)
    expect(directory.authenticate(pinned('aa'), NOW)).toBeInstanceOf(NetworkServer)
  })

  it('takes each certificate of a peer for as long as that one is valid', () => {
    const certificates = [
      newCertificate({ fingerprint: 'old', notBefore: NOW - 1000, notAfter: NOW }),
      newCertificate({ fingerprint: 'new', notBefore: NOW - 500, notAfter: NOW + 1000 }),
    ]
    const changing = new PeerDirectory({ listPeers: () => [newPeer({ certificates })] })
    const now = changing.authenticate(pinned('old'), NOW)
    expect(now).toBeInstanceOf(NetworkServer)
    expect(changing.authenticate(pinned('new'), NOW)).toBe(now)
    expect(changing.authenticate(pinned('old'), NOW + 1)).toBe('expired')
    expect(changing.authenticate(pinned('new'), NOW + 1)).toBe(now)
    expect(changing.authenticate(pinned('new'), NOW - 501)).toBe('expired')
  })

  it('gives a network server what orders set, and what its dialect says of keys', () => {
    const asyncUrl = 'https://ns.example/bi'
    const settings = { dialect: 'chirpstack-4', kekOnly: true, asyncUrl } as const
    const known = new PeerDirectory({ listPeers: () => [peer('aa', settings), peer('bb', { id: '000014' })] })
    const dialect = dialectOf('chirpstack-4')
    expect(known.authenticate(pinned('aa'), NOW)).toMatchObject({
      ...{ dialect, kekOnly: true, asyncUrl, nsId: undefined },
      ...{ ownAppSKey: dialect.ownAppSKey, kekSizes: dialect.kekSizes },
    })
    expect(known.authenticate(pinned('bb'), NOW)).toMatchObject({
      ...{ dialect: dialectOf('standard-1.0'), kekOnly: false, asyncUrl: undefined },
    })
  })

  it('finds network servers that are not disabled by their id and NetID', () => {
    expect(directory.networkServer(peers[0]!.peerId)).toBe(directory.authenticate(pinned('aa'), NOW))
    expect(directory.networkServer(peers[1]!.peerId)).toBeUndefined()
    expect(directory.networkServer(peers[2]!.peerId)).toBeUndefined()
    expect(['000013', '000014', 'app.example'].map((id) => directory.nsIdOf(id))).toEqual([
      '70b3d57ed0000005',
      undefined,
      undefined,
    ])
  })

  it('sees what changed when it is read again', () => {
    const changing = [peer('aa')]
    const changed = new PeerDirectory({ listPeers: () => changing })
    changing[0] = peer('aa', { disabled: true })
    expect(changed.authenticate(pinned('aa'), NOW)).toBeInstanceOf(NetworkServer)
    changed.reload()
    expect(changed.authenticate(pinned('aa'), NOW)).toBe('disabled')
    changing.length = 0
    changed.reload()
    expect(changed.authenticate(pinned('aa'), NOW)).toBe('unknown')
  })

  it('answers with the same object every time: nothing is made on the way of a join', () => {
    expect(directory.authenticate(pinned('aa'), NOW)).toBe(directory.authenticate(pinned('aa'), NOW))
  })
})

describe('certificates that a CA issued to the name of a peer', () => {
  const authority = makeAuthority('CA of peers')
  const other = makeAuthority('CA of peers')
  const named = (id: string, name: string, { cert, fingerprint } = authority as TestCertificate): Peer =>
    newPeer({ id, certificates: [], authority: { fingerprint, name, pem: cert } })
  const leaf = authority.issue()

  /** Counts how often somebody looks at more than the fingerprint. */
  function shown({ cert, fingerprint }: TestCertificate): ClientCertificate & { reads: number } {
    const certificate = {
      fingerprint,
      reads: 0,
      read: () => {
        certificate.reads += 1
        return new X509Certificate(cert)
      },
    }
    return certificate
  }

  it('are looked at once, strangers too', () => {
    const directory = new PeerDirectory({ listPeers: () => [named('000013', 'ns.example')] })
    for (const [certificate, outcome] of [
      [shown(leaf), expect.any(NetworkServer) as NetworkServer],
      [shown(other.issue()), 'unknown'],
    ] as const) {
      for (let times = 0; times < 3; times++) expect(directory.authenticate(certificate, Date.now())).toEqual(outcome)
      expect(certificate.reads).toBe(1)
      directory.reload()
      directory.authenticate(certificate, Date.now())
      expect(certificate.reads).toBe(2)
    }
  })

  it('are not looked at where no peer is known by a CA', () => {
    const directory = new PeerDirectory({ listPeers: () => [peer('aa')] })
    expect(directory.authenticate(pinned('dd'), NOW)).toBe('unknown')
  })

  it('are no peer’s any more after a reload without the CA', () => {
    const peers = [named('000013', 'ns.example')]
    const directory = new PeerDirectory({ listPeers: () => peers })
    expect(directory.authenticate(shown(leaf), Date.now())).toBeInstanceOf(NetworkServer)
    peers.length = 0
    directory.reload()
    expect(directory.authenticate(shown(leaf), Date.now())).toBe('unknown')
  })

  it('stay a peer’s when a connection was closed before they could be read', () => {
    const directory = new PeerDirectory({ listPeers: () => [named('000013', 'ns.example')] })
    const closed = { fingerprint: leaf.fingerprint, read: () => undefined }
    expect(directory.authenticate(closed, Date.now())).toBe('unknown')
    expect(directory.authenticate(shown(leaf), Date.now())).toBeInstanceOf(NetworkServer)
    expect(directory.authenticate(closed, Date.now())).toBeInstanceOf(NetworkServer)
  })

  it('are good only while both they and the CA are', () => {
    const [from, to] = ['20300101000000Z', '20310101000000Z']
    const directory = new PeerDirectory({ listPeers: () => [named('000013', 'ns.example')] })
    const later = shown(authority.issue({ notBefore: from, notAfter: to }))
    const short = makeAuthority('Short CA', { notBefore: from, notAfter: to })
    const ofShort = new PeerDirectory({ listPeers: () => [named('000013', 'ns.example', short)] })
    const longer = shown(short.issue())
    for (const [day, outcome] of [
      ['2029-12-31T23:59:59Z', 'expired'],
      ['2030-01-01T00:00:00Z', expect.any(NetworkServer) as NetworkServer],
      ['2031-01-01T00:00:00Z', expect.any(NetworkServer) as NetworkServer],
      ['2031-01-01T00:00:01Z', 'expired'],
    ] as const) {
      expect(directory.authenticate(later, Date.parse(day))).toEqual(outcome)
      expect(ofShort.authenticate(longer, Date.parse(day))).toEqual(outcome)
    }
  })

  it('are the peer’s of their name where several have one CA, and nobody’s in two names', () => {
    const peers = [
      named('000013', 'ns.example'),
      named('000014', 'other.example'),
      named('000015', 'ns.example', other),
    ]
    const directory = new PeerDirectory({ listPeers: () => peers })
    const whose = (certificate: TestCertificate) => directory.authenticate(shown(certificate), Date.now())
    expect(whose(leaf)).toMatchObject({ id: '000013' })
    expect(whose(authority.issue({ alternativeNames: 'DNS:other.example' }))).toMatchObject({ id: '000014' })
    expect(whose(other.issue())).toMatchObject({ id: '000015' })
    expect(whose(authority.issue({ alternativeNames: 'DNS:ns.example,DNS:other.example' }))).toBe('unknown')
  })

  it('open nothing for a disabled peer', () => {
    const directory = new PeerDirectory({ listPeers: () => [{ ...named('000013', 'ns.example'), disabled: true }] })
    expect(directory.authenticate(shown(leaf), Date.now())).toBe('disabled')
  })

  it('do not displace the peers, however many strangers come', () => {
    const directory = new PeerDirectory({ listPeers: () => [named('000013', 'ns.example')] })
    const certificate = shown(leaf)
    directory.authenticate(certificate, Date.now())
    const stranger = new X509Certificate(other.cert)
    let reads = 0
    const read = () => {
      reads += 1
      return stranger
    }
    for (let i = 0; i <= 5000; i++) directory.authenticate({ fingerprint: String(i), read }, Date.now())
    expect(reads).toBe(5001)
    // The newest are known still, the oldest were forgotten.
    directory.authenticate({ fingerprint: '5000', read }, Date.now())
    expect(reads).toBe(5001)
    directory.authenticate({ fingerprint: '0', read }, Date.now())
    expect(reads).toBe(5002)
    expect(directory.authenticate(certificate, Date.now())).toBeInstanceOf(NetworkServer)
    expect(certificate.reads).toBe(1)
  })
})

it('nobody but the directory makes an authenticated peer', () => {
  const forged = Symbol('authentication') as never
  expect(() => new NetworkServer(forged, newPeer())).toThrow(TypeError)
  expect(() => new ApplicationServer(forged, newPeer({ kind: 'as', id: 'app.example' }))).toThrow(TypeError)
})
