import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { Agreements, NetworkServer, PeerDirectory } from '../src/identity/index.ts'
import { DirectoryReload } from '../src/reload-directory.ts'
import type { AdoptedChange, Peer } from '../src/storage/index.ts'
import { newCertificate, newPeer } from './storage/fixtures.ts'

const CERTIFICATE = newCertificate({ fingerprint: 'aa', notBefore: 0, notAfter: Infinity })
const PEER = newPeer({ certificates: [CERTIFICATE] })
const PEER_REMOVED: AdoptedChange = { kind: 'peer-removed', peerId: PEER.peerId }

describe('what orders changed', () => {
  beforeEach(() => vi.useFakeTimers())
  afterEach(() => vi.useRealTimers())

  /** Peers as a database has them that may fail. */
  function setUp() {
    const database = { peers: [PEER] as readonly Peer[], fails: false }
    const listPeers = (): Peer[] => {
      if (database.fails) throw new Error('disk I/O error')
      return [...database.peers]
    }
    const log: string[] = []
    const peers = new PeerDirectory({ listPeers })
    const routes = { reload: vi.fn() }
    const agreements = new Agreements({ listAgreements: () => [] })
    const reload = new DirectoryReload({ peers, agreements, routes, log: (line) => log.push(line) })
    const whoIs = () => peers.authenticate({ fingerprint: 'aa', read: () => undefined }, Date.now())
    return { database, log, routes, reload, whoIs }
  }

  test('holds at once', () => {
    const { database, reload, whoIs, routes } = setUp()
    expect(whoIs()).toBeInstanceOf(NetworkServer)
    database.peers = []
    expect(whoIs()).toBeInstanceOf(NetworkServer)
    reload.adopted([PEER_REMOVED])
    expect(whoIs()).toBe('unknown')
    expect(routes.reload).not.toHaveBeenCalled()
  })

  test('lets nobody in who was removed when it cannot be read, and others again as soon as it can', () => {
    const { database, reload, whoIs, log } = setUp()
    database.fails = true
    expect(() => reload.adopted([PEER_REMOVED])).not.toThrow()
    expect(whoIs()).toBe('unknown')
    expect(log).toEqual([expect.stringContaining('disk I/O error')])
    vi.advanceTimersByTime(1000)
    expect(whoIs()).toBe('unknown')
    database.fails = false
    vi.advanceTimersByTime(1000)
    expect(whoIs()).toBeInstanceOf(NetworkServer)
  })
})
