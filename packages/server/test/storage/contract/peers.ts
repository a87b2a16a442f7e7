import { expect, test } from 'vitest'
import type { PeerSettings } from '../../../src/storage/index.ts'
import { adopt, newAuthority, newCertificate, newPeer, newToken } from '../fixtures.ts'
import { FREED, NS_ID, type StorageUnderTest } from './subject.ts'

/** Peers, their settings, certificates, authorities and tokens. */
export function peerChanges(make: () => StorageUnderTest): void {
  test('a peer is added, disabled and removed, and may then come back', async () => {
    using under = make()
    const { administration } = under.storage
    const ns = newPeer({ nsId: NS_ID, protocol: '1.1', dialect: 'the-things-stack', kekOnly: true })
    const as = newPeer({ kind: 'as', id: 'as.example' })
    await adopt(under.storage, { kind: 'peer-added', peer: as }, { kind: 'peer-added', peer: ns })
    expect(administration.listPeers()).toEqual([ns, as])
    await adopt(under.storage, { kind: 'peer-disabled', peerId: as.peerId })
    expect(administration.listPeers()).toEqual([ns, { ...as, disabled: true }])
    await adopt(under.storage, { kind: 'peer-removed', peerId: as.peerId })
    expect(administration.listPeers()).toEqual([ns])
    await adopt(under.storage, { kind: 'peer-added', peer: as })
    expect(under.reopen().administration.listPeers()).toEqual([ns, as])
  })

  test('the settings of a peer change all together, and can be taken away', async () => {
    using under = make()
    const { administration } = under.storage
    const [peer, other] = [newPeer(), newPeer({ id: '000014' })]
    const { peerId } = peer
    await adopt(under.storage, { kind: 'peer-added', peer }, { kind: 'peer-added', peer: other })
    const given: PeerSettings = {
      ...{ protocol: '1.1', dialect: 'standard-1.1', nsId: NS_ID, kekOnly: true },
      asyncUrl: 'https://ns.example/bi',
    }
    await adopt(under.storage, { kind: 'peer-changed', peerId, settings: given })
    expect(administration.listPeers()).toEqual([{ ...peer, ...given }, other])
    const { protocol, dialect, nsId, asyncUrl, kekOnly } = peer
    const settings = { protocol, dialect, nsId, asyncUrl, kekOnly }
    await adopt(under.storage, { kind: 'peer-changed', peerId, settings })
    expect(administration.listPeers()).toEqual([peer, other])
  })

  test('a peer has several certificates in the order of their coming, or a CA and a name', async () => {
    using under = make()
    const { administration } = under.storage
    const peer = newPeer()
    const { peerId } = peer
    const [second, third] = [newCertificate(), newCertificate()]
    const authority = newAuthority()
    const issued = newPeer({ id: '000014', certificates: [], authority })
    const named = newPeer({
      id: '000015',
      certificates: [],
      authority: { ...authority, name: 'other.example' },
    })
    await adopt(
      under.storage,
      ...[peer, issued, named].map((peer) => ({ kind: 'peer-added', peer }) as const),
      { kind: 'peer-certificate-added', peerId, certificate: second },
      { kind: 'peer-certificate-added', peerId, certificate: third },
      { kind: 'peer-certificate-added', peerId: issued.peerId, certificate: newCertificate({ fingerprint: FREED }) },
    )
    expect(administration.listPeers()[0]?.certificates).toEqual([...peer.certificates, second, third])
    expect(administration.listPeers()[1]).toMatchObject({ authority, certificates: [{}] })
    await adopt(
      under.storage,
      { kind: 'peer-certificate-removed', peerId, fingerprint: second.fingerprint },
      { kind: 'peer-certificate-removed', peerId: issued.peerId, fingerprint: FREED },
    )
    expect(administration.listPeers()[0]?.certificates).toEqual([...peer.certificates, third])
    expect(administration.listPeers().slice(1)).toEqual([issued, named])
    // What one peer has let go, another may have; a peer that goes lets go of all.
    await adopt(
      under.storage,
      { kind: 'peer-removed', peerId },
      { kind: 'peer-certificate-added', peerId: issued.peerId, certificate: third },
    )
    expect(under.reopen().administration.listPeers()).toEqual([{ ...issued, certificates: [third] }, named])
  })

  test('a peer has several tokens in the order of their coming, with certificates or without', async () => {
    using under = make()
    const { administration } = under.storage
    const [first, second, third] = [newToken(), newToken({ header: 'x-join-server' }), newToken()]
    const peer = newPeer({ certificates: [], tokens: [first] })
    const other = newPeer({ id: '000014' })
    const { peerId } = peer
    await adopt(
      under.storage,
      ...[peer, other].map((peer) => ({ kind: 'peer-added', peer }) as const),
      { kind: 'peer-token-added', peerId, token: second },
      { kind: 'peer-token-added', peerId, token: third },
      { kind: 'peer-token-added', peerId: other.peerId, token: newToken({ digest: FREED }) },
    )
    expect(administration.listPeers()[0]?.tokens).toEqual([first, second, third])
    expect(administration.listPeers()[1]).toMatchObject({ certificates: other.certificates, tokens: [{}] })
    await adopt(
      under.storage,
      { kind: 'peer-token-removed', peerId, digest: first.digest },
      { kind: 'peer-token-removed', peerId: other.peerId, digest: FREED },
    )
    expect(administration.listPeers()).toEqual([{ ...peer, tokens: [second, third] }, other])
    // What one peer has let go, another may have; a peer that goes lets go of all.
    await adopt(
      under.storage,
      { kind: 'peer-removed', peerId },
      { kind: 'peer-token-added', peerId: other.peerId, token: third },
    )
    expect(under.reopen().administration.listPeers()).toEqual([{ ...other, tokens: [third] }])
  })
}
