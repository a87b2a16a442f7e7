import { randomBytes } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { ApplicationServer, NetworkServer, PeerDirectory } from '../../src/identity/index.ts'
import type { Peer } from '../../src/storage/index.ts'

const NOW = 1_800_000_000_000

function peer(fingerprint: string, change: Partial<Peer> = {}): Peer {
  return {
    peerId: randomBytes(16),
    kind: 'ns',
    id: '000013',
    nsId: undefined,
    protocol: '1.0',
    disabled: false,
    certificate: { fingerprint, subject: 'CN=peer', notBefore: NOW - 1000, notAfter: NOW + 1000 },
    createdAt: NOW,
    ...change,
  }
}

describe('PeerDirectory', () => {
  const peers = [
    peer('aa'),
    peer('bb', { kind: 'as', id: 'app.example' }),
    peer('cc', { disabled: true, id: '000014' }),
  ]
  const directory = new PeerDirectory({ listPeers: () => peers })

  it('knows a peer by its certificate, and what kind it is', () => {
    const [ns, as] = [directory.authenticate('aa', NOW), directory.authenticate('bb', NOW)]
    expect(ns).toBeInstanceOf(NetworkServer)
    expect(ns).toMatchObject({ kind: 'ns', id: '000013' })
    expect(as).toBeInstanceOf(ApplicationServer)
    expect(as).toMatchObject({ kind: 'as', id: 'app.example' })
  })

  it.each([
    ['unknown', 'dd', NOW],
    ['unknown', '', NOW],
    ['disabled', 'cc', NOW],
    ['expired', 'aa', NOW + 1001],
    ['expired', 'aa', NOW - 1001],
  ])('refuses: %s (%s)', (refusal, fingerprint, nowMs) => {
    expect(directory.authenticate(fingerprint, nowMs)).toBe(refusal)
    expect(directory.authenticate('aa', NOW)).toBeInstanceOf(NetworkServer)
  })

  it('sees what changed when it is read again', () => {
    const changing = [peer('aa')]
    const changed = new PeerDirectory({ listPeers: () => changing })
    changing[0] = peer('aa', { disabled: true })
    expect(changed.authenticate('aa', NOW)).toBeInstanceOf(NetworkServer)
    changed.reload()
    expect(changed.authenticate('aa', NOW)).toBe('disabled')
  })

  it('answers with the same object every time: nothing is made on the way of a join', () => {
    expect(directory.authenticate('aa', NOW)).toBe(directory.authenticate('aa', NOW))
  })
})

it('nobody but the directory makes an authenticated peer', () => {
  const forged = Symbol('authentication') as never
  expect(() => new NetworkServer(forged, '000013')).toThrow(TypeError)
  expect(() => new ApplicationServer(forged, 'app.example')).toThrow(TypeError)
})
