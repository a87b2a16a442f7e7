import { randomBytes } from 'node:crypto'
import { parseDevEui, parseJoinEui, parseNsId } from '@mortise/lorawan'
import { describe, expect, test } from 'vitest'
import {
  MAX_PAGE_ROWS,
  type PeerSettings,
  type ReceiptHeadRow,
  SESSIONS_KEPT,
  type Storage,
} from '../../src/storage/index.ts'
import {
  adopt,
  DEV_EUI,
  JOIN_EUI,
  joinOnce,
  keySetOf,
  newAuthority,
  newCertificate,
  newDevice,
  newKek,
  newOrder,
  newPeer,
  newReceipt,
  newRoute,
  nextJoin,
  OTHER_JOIN_EUI,
  SIGNER,
  submit,
} from './fixtures.ts'

/** A database under test: fresh, and with a look at what no port reads yet. */
export interface StorageUnderTest extends Disposable {
  readonly storage: Storage
  /** Bodies of all receipts, in the order of the chains; one that came twice is there once. */
  receipts(): Buffer[]
  /** `bootEpoch/worker/sequence/closing` of all heads. */
  heads(): string[]
  /** Closes the database and opens it again. */
  reopen(): Storage
}

const UNKNOWN_ID = Buffer.alloc(16, 0xee)
const NS_ID = parseNsId('70b3d57ed0000005')
const FREED = 'fe'.repeat(32)

/** What every database behind the ports does. */
export function storageContract(name: string, make: () => StorageUnderTest): void {
  describe(`${name}: joins`, () => {
    joinReading(make)
    joinCommits(make)
    commitBatches(make)
  })
  describe(`${name}: adopted orders`, () => {
    deviceChanges(make)
    returningKeys(make)
    kekAndPeerChanges(make)
    agreements(make)
    routes(make)
    refusedAdoptions(make)
  })
  describe(`${name}: administration`, () => {
    orders(make)
    devicePages(make)
    singleValues(make)
  })
}

function joinReading(make: () => StorageUnderTest): void {
  test('finds a key set by both EUIs, and by neither alone', async () => {
    using under = make()
    const device = newDevice()
    await adopt(under.storage, device)
    const { joins } = under.storage
    expect(joins.findKeySets(JOIN_EUI, DEV_EUI)).toEqual([
      {
        keySet: expect.any(Number) as number,
        generation: 1,
        record: device.record,
        state: undefined,
      },
    ])
    expect(joins.findKeySets(OTHER_JOIN_EUI, DEV_EUI)).toEqual([])
    expect(joins.findKeySets(JOIN_EUI, parseDevEui('0004a30b001a2b3d'))).toEqual([])
  })

  test('the newest KEK of a recipient has the highest version', async () => {
    using under = make()
    const [second, first, other] = [newKek({ kekVersion: 2 }), newKek(), newKek({ recipient: 'other', kekVersion: 3 })]
    await adopt(under.storage, ...[second, first, other].map((kek) => ({ kind: 'kek-added', kek }) as const))
    const { joins } = under.storage
    expect(joins.newestKek('as', 'as.example')).toEqual(second)
    expect(joins.newestKek('ns', 'as.example')).toBeUndefined()
    expect(joins.findKek(first.kekId)).toEqual(first)
    expect(joins.findKek(UNKNOWN_ID)).toBeUndefined()
    await adopt(under.storage, { kind: 'kek-removed', kekId: second.kekId })
    expect(joins.newestKek('as', 'as.example')).toEqual(first)
  })
}

function joinCommits(make: () => StorageUnderTest): void {
  test('the first join makes the state, the next one replaces it; both survive a reopening', async () => {
    using under = make()
    await adopt(under.storage, newDevice())
    const first = await joinOnce(under.storage)
    expect(keySetOf(under.storage).state).toMatchObject({
      lastJoinNonce: 1,
      devNonces: first.devNonces,
      last: first.last,
    })
    const second = await joinOnce(under.storage)
    expect(second.last.joinNonce).toBe(2)
    const state = { lastJoinNonce: 2, devNonces: second.devNonces, last: second.last }
    expect(keySetOf(under.storage).state).toMatchObject(state)
    expect(keySetOf(under.reopen()).state).toMatchObject(state)
  })

  test('KEK ids are kept, present or absent', async () => {
    using under = make()
    await adopt(under.storage, newDevice())
    const join = nextJoin(keySetOf(under.storage))
    const last = { ...join.last, nsKekId: undefined, asKekId: randomBytes(16) }
    await under.storage.joins.commit([{ join: { ...join, last } }])
    expect(keySetOf(under.storage).state?.last).toEqual(last)
  })

  test.each([0, 1])(
    'of two commits on the same JoinNonce (after %i joins) one is lost, its receipt kept',
    async (joined) => {
      using under = make()
      await adopt(under.storage, newDevice())
      for (let i = 0; i < joined; i++) await joinOnce(under.storage)
      const keySet = keySetOf(under.storage)
      const [winner, loser] = [nextJoin(keySet), nextJoin(keySet)]
      const { joins } = under.storage
      const results = await Promise.all([joins.commit([{ join: winner }]), joins.commit([{ join: loser }])])
      expect(results).toEqual([['committed'], ['lost']])
      expect(keySetOf(under.storage).state?.last).toEqual(winner.last)
      expect(joins.findSession(keySet.keySet, loser.last.sessionKeyId)).toBeUndefined()
      expect(under.receipts()).toEqual(expect.arrayContaining([winner.receipt, loser.receipt]))
    },
  )

  test('a commit on an older JoinNonce is lost in a later batch too, and one that takes the new value is not', async () => {
    using under = make()
    await adopt(under.storage, newDevice())
    const stale = keySetOf(under.storage)
    await joinOnce(under.storage)
    const { joins } = under.storage
    expect(await joins.commit([{ join: nextJoin(stale) }])).toEqual(['lost'])
    expect(await joins.commit([{ join: nextJoin(keySetOf(under.storage)) }])).toEqual(['committed'])
  })

  test('a JoinNonce that does not rise is lost', async () => {
    using under = make()
    await adopt(under.storage, newDevice())
    await joinOnce(under.storage)
    const join = nextJoin(keySetOf(under.storage))
    const { joins } = under.storage
    expect(await joins.commit([{ join: { ...join, last: { ...join.last, joinNonce: 1 } } }])).toEqual(['lost'])
    expect(await joins.commit([{ join }])).toEqual(['committed'])
  })

  test.each([0, 1])('a join of a device that was removed meanwhile (after %i joins) is lost', async (joined) => {
    using under = make()
    const device = newDevice()
    await adopt(under.storage, device)
    for (let i = 0; i < joined; i++) await joinOnce(under.storage)
    const decidedOn = keySetOf(under.storage)
    await adopt(under.storage, { kind: 'device-removed', deviceId: device.deviceId, keyDigest: device.keyDigest })
    expect(await under.storage.joins.commit([{ join: nextJoin(decidedOn) }])).toEqual(['lost'])
  })

  test(`keeps the newest ${SESSIONS_KEPT} sessions of a key set, and another's untouched`, async () => {
    using under = make()
    const otherDevEui = parseDevEui('0004a30b00ffffff')
    await adopt(under.storage, newDevice(), newDevice({ devEui: otherDevEui }))
    const other = await joinOnce(under.storage, otherDevEui)
    const joined = []
    for (let i = 0; i < SESSIONS_KEPT + 3; i++) joined.push(await joinOnce(under.storage))
    const { keySet } = keySetOf(under.storage)
    expect(under.storage.administration.listSessions(keySet)).toEqual(
      joined
        .slice(3)
        .reverse()
        .map(({ last, sessionRecord }) => ({
          sessionKeyId: last.sessionKeyId,
          joinNonce: last.joinNonce,
          netId: last.netId,
          devAddr: last.devAddr,
          createdAt: last.joinedAt,
          record: sessionRecord,
        })),
    )
    const { joins } = under.storage
    expect(joined.map(({ last }) => joins.findSession(keySet, last.sessionKeyId)?.joinNonce)).toEqual(
      joined.map(({ last }, index) => (index < 3 ? undefined : last.joinNonce)),
    )
    expect(joins.findSession(other.keySet, other.last.sessionKeyId)?.record).toEqual(other.sessionRecord)
    expect(joins.findSession(keySet, other.last.sessionKeyId)).toBeUndefined()
  })
}

function commitBatches(make: () => StorageUnderTest): void {
  test('joins of many devices and receipts alone share a batch, each with its own result', async () => {
    using under = make()
    const devEuis = Array.from({ length: 40 }, (_, i) =>
      parseDevEui(`0004a30b000000${i.toString(16).padStart(2, '0')}`),
    )
    await adopt(under.storage, ...devEuis.map((devEui) => newDevice({ devEui })))
    const joins = devEuis.map((devEui) => nextJoin(keySetOf(under.storage, devEui)))
    const receipt = newReceipt()
    const results = await Promise.all([
      ...joins.map((join) => under.storage.joins.commit([{ join }])),
      under.storage.joins.commit([{ receipt }]),
      under.storage.joins.commit([]),
    ])
    expect(results).toEqual([...joins.map(() => ['committed']), ['committed'], []])
    expect(devEuis.map((devEui) => keySetOf(under.storage, devEui).state?.last)).toEqual(joins.map(({ last }) => last))
    expect(under.receipts()).toContainEqual(receipt)
  })

  test('more items than one transaction holds are all committed', async () => {
    using under = make()
    const receipts = Array.from({ length: 1300 }, () => newReceipt())
    const calls = [receipts.slice(0, 1), receipts.slice(1, 700), ...receipts.slice(700).map((receipt) => [receipt])]
    const { joins } = under.storage
    const results = await Promise.all(calls.map((call) => joins.commit(call.map((receipt) => ({ receipt })))))
    expect(results.map(({ length }) => length)).toEqual(calls.map(({ length }) => length))
    expect(under.receipts()).toEqual(receipts)
  })

  test('a receipt that comes again is no second one; another one in its place, of a forked chain, is kept beside it', async () => {
    using under = make()
    const [first, fork] = [newReceipt(500_000), newReceipt(500_000)]
    await under.storage.joins.commit([{ receipt: first }])
    await under.storage.joins.commit([{ receipt: first }])
    expect(under.receipts()).toEqual([first])
    await under.storage.joins.commit([{ receipt: fork }])
    expect(under.receipts()).toHaveLength(2)
    expect(under.receipts()).toEqual(expect.arrayContaining([first, fork]))
  })

  test('when one item cannot be written, nothing of the batch is kept and every call hears of it', async () => {
    using under = make()
    const otherDevEui = parseDevEui('0004a30b00ffffff')
    await adopt(under.storage, newDevice(), newDevice({ devEui: otherDevEui }))
    const good = nextJoin(keySetOf(under.storage))
    const bad = nextJoin(keySetOf(under.storage, otherDevEui))
    const impossible = { ...bad, last: { ...bad.last, devNonce: 0x10000 } }
    const before = under.receipts()
    const { joins } = under.storage
    const settled = await Promise.allSettled([good, impossible].map((join) => joins.commit([{ join }])))
    const failure = { status: 'rejected', reason: { name: 'RangeError' } }
    expect(settled).toMatchObject([failure, failure])
    expect(keySetOf(under.storage).state).toBeUndefined()
    expect(under.receipts()).toEqual(before)
    expect(await joins.commit([{ join: good }, { join: bad }])).toEqual(['committed', 'committed'])
  })

  test('a receipt that is none fails its own call only', async () => {
    using under = make()
    const good = newReceipt()
    const { joins } = under.storage
    const settled = await Promise.allSettled([
      joins.commit([{ receipt: good.subarray(1) }]),
      joins.commit([{ receipt: good }]),
    ])
    expect(settled).toMatchObject([
      { status: 'rejected', reason: { name: 'HsmError', code: 'frame_malformed' } },
      { status: 'fulfilled', value: ['committed'] },
    ])
    expect(under.receipts()).toEqual([good])
  })

  test('commits that still wait when the database is closed are made first', async () => {
    using under = make()
    await adopt(under.storage, newDevice())
    const join = nextJoin(keySetOf(under.storage))
    const committing = under.storage.joins.commit([{ join }])
    const reopened = under.reopen()
    expect(await committing).toEqual(['committed'])
    expect(keySetOf(reopened).state?.last).toEqual(join.last)
  })
}

function deviceChanges(make: () => StorageUnderTest): void {
  test('a device is added, changed and removed', async () => {
    using under = make()
    const { administration, joins } = under.storage
    const device = newDevice({ keysDelivered: false, generation: 3 })
    const before = Date.now()
    await adopt(under.storage, device)
    const added = administration.findDevice(device.deviceId)
    expect(added).toEqual({
      deviceId: device.deviceId,
      createdAt: expect.any(Number) as number,
      keysDelivered: false,
      keySets: [{ ...keySetOf(under.storage), devEui: DEV_EUI, joinEui: JOIN_EUI, noncesDamaged: false }],
    })
    expect(added?.createdAt).toBeGreaterThanOrEqual(before)
    expect(keySetOf(under.storage)).toMatchObject({ generation: 3, record: device.record })
    expect(administration.findDevices(DEV_EUI)).toEqual([added])
    expect(administration.countDevices()).toBe(1)

    const record = randomBytes(200)
    await joinOnce(under.storage)
    await adopt(under.storage, { kind: 'device-changed', deviceId: device.deviceId, record })
    expect(keySetOf(under.storage)).toMatchObject({ record, state: { lastJoinNonce: 1 } })

    const { keySet } = keySetOf(under.storage)
    await adopt(under.storage, { kind: 'device-removed', deviceId: device.deviceId, keyDigest: device.keyDigest })
    expect(joins.findKeySets(JOIN_EUI, DEV_EUI)).toEqual([])
    expect(administration.findDevice(device.deviceId)).toBeUndefined()
    expect(administration.findDevices(DEV_EUI)).toEqual([])
    expect(administration.countDevices()).toBe(0)
    expect(administration.listSessions(keySet)).toEqual([])
  })

  test('a change concerns its own device only', async () => {
    using under = make()
    const [one, two] = [newDevice(), newDevice({ joinEui: OTHER_JOIN_EUI })]
    await adopt(under.storage, one, two)
    await adopt(under.storage, { kind: 'device-removed', deviceId: one.deviceId, keyDigest: one.keyDigest })
    expect(keySetOf(under.storage, DEV_EUI, OTHER_JOIN_EUI).record).toEqual(two.record)
  })
}

function returningKeys(make: () => StorageUnderTest): void {
  const keyDigest = Buffer.alloc(16, 0xaa)
  const rows = [
    { title: 'the same root key under the same EUIs goes on with its nonces', change: {}, nonce: 2 },
    { title: 'another root key starts afresh', change: { keyDigest: Buffer.alloc(16, 0xbb) }, nonce: undefined },
    {
      title: 'the same root key under another JoinEUI starts afresh',
      change: { joinEui: OTHER_JOIN_EUI },
      nonce: undefined,
    },
    {
      title: 'the same root key in another device starts afresh',
      change: { devEui: parseDevEui('0004a30b00000000') },
      nonce: undefined,
    },
  ]
  test.each(rows)('$title', async ({ change, nonce }) => {
    using under = make()
    const device = newDevice({ keyDigest })
    await adopt(under.storage, device)
    await joinOnce(under.storage)
    const last = await joinOnce(under.storage)
    await adopt(under.storage, { kind: 'device-removed', deviceId: device.deviceId, keyDigest })
    const back = newDevice({ keyDigest, ...change })
    await adopt(under.storage, back)
    const keySet = keySetOf(under.storage, back.devEui, back.joinEui)
    expect(keySet.state?.lastJoinNonce).toBe(nonce)
    if (nonce !== undefined)
      expect(keySet.state).toMatchObject({ lastJoinNonce: nonce, devNonces: last.devNonces, last: last.last })
  })

  test('the whole history comes back when the key went and came several times', async () => {
    using under = make()
    for (let round = 1; round <= 3; round++) {
      const device = newDevice({ keyDigest })
      await adopt(under.storage, device)
      expect(keySetOf(under.storage).state?.lastJoinNonce ?? 0).toBe(round - 1)
      await joinOnce(under.storage)
      await adopt(under.storage, { kind: 'device-removed', deviceId: device.deviceId, keyDigest })
    }
    await adopt(under.storage, newDevice({ keyDigest }))
    expect(keySetOf(under.storage).state?.lastJoinNonce).toBe(3)
  })

  test('removed and added again in one order, too', async () => {
    using under = make()
    const device = newDevice({ keyDigest })
    await adopt(under.storage, device)
    await joinOnce(under.storage)
    await adopt(
      under.storage,
      { kind: 'device-removed', deviceId: device.deviceId, keyDigest },
      newDevice({ keyDigest }),
    )
    expect(keySetOf(under.storage).state?.lastJoinNonce).toBe(1)
  })
}

function kekAndPeerChanges(make: () => StorageUnderTest): void {
  test('KEKs are listed by kind, recipient and version, and removed', async () => {
    using under = make()
    const { administration } = under.storage
    const keks = [
      newKek({ kind: 'ns', recipient: '000013', size: 16 }),
      newKek({ recipient: 'a', kekVersion: 1 }),
      newKek({ recipient: 'a', kekVersion: 2 }),
      newKek({ recipient: 'b', size: 24 }),
    ] as const
    await adopt(under.storage, ...keks.toReversed().map((kek) => ({ kind: 'kek-added', kek }) as const))
    expect(administration.listKeks()).toEqual(keks)
    await adopt(under.storage, { kind: 'kek-removed', kekId: keks[1].kekId })
    expect(administration.listKeks()).toEqual([keks[0], keks[2], keks[3]])
    expect(administration.findKek(keks[1].kekId)).toBeUndefined()
    expect(administration.findKek(keks[2].kekId)).toEqual(keks[2])
  })

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
}

function agreements(make: () => StorageUnderTest): void {
  const every = { joinEui: parseJoinEui('0000000000000000'), bits: 0 }
  const scopes = [{ devEui: DEV_EUI }, every, { joinEui: JOIN_EUI, bits: 64 }] as const

  test('agreements are for a device or for JoinEUIs, and go with their network server', async () => {
    using under = make()
    const { administration } = under.storage
    const [one, other] = [newPeer(), newPeer({ id: '000014' })]
    await adopt(under.storage, { kind: 'peer-added', peer: other }, { kind: 'peer-added', peer: one })
    const added = (peerId: Buffer, scope: (typeof scopes)[number]) =>
      ({ kind: 'agreement-added', peerId, scope, addedAt: 7 }) as const
    await adopt(under.storage, ...scopes.map((scope) => added(one.peerId, scope)), added(other.peerId, scopes[0]))
    const rows = scopes.map((scope) => ({ peerId: one.peerId, netId: '000013', scope, addedAt: 7 }))
    const ofOther = { peerId: other.peerId, netId: '000014', scope: scopes[0], addedAt: 7 }
    expect(administration.listAgreements()).toEqual([...rows, ofOther])
    await adopt(under.storage, { kind: 'agreement-removed', peerId: one.peerId, scope: every })
    expect(administration.listAgreements()).toEqual([rows[0], rows[2], ofOther])
    await adopt(under.storage, { kind: 'peer-removed', peerId: one.peerId })
    expect(under.reopen().administration.listAgreements()).toEqual([ofOther])
  })
}

function routes(make: () => StorageUnderTest): void {
  test('routes are listed by their prefix, and removed', async () => {
    using under = make()
    const { administration } = under.storage
    const wide = newRoute({ prefix: { joinEui: parseJoinEui('70b3d50000000000'), bits: 24 }, protocol: '1.0' })
    const [narrow, next] = [newRoute(), newRoute({ prefix: { joinEui: OTHER_JOIN_EUI, bits: 64 } })]
    await adopt(under.storage, ...[next, narrow, wide].map((route) => ({ kind: 'route-added', route }) as const))
    expect(administration.listRoutes()).toEqual([wide, narrow, next])
    await adopt(under.storage, { kind: 'route-removed', routeId: narrow.routeId })
    expect(under.reopen().administration.listRoutes()).toEqual([wide, next])
  })
}

function refusedAdoptions(make: () => StorageUnderTest): void {
  const device = newDevice()
  const removed = newDevice({ devEui: parseDevEui('0004a30b00000001') })
  const authority = newAuthority()
  const certificate = newCertificate()
  const peer = newPeer({ certificates: [certificate], authority })
  const as = newPeer({ kind: 'as', id: 'as.example' })
  const route = newRoute()
  const kek = newKek()
  const rows = [
    { title: 'both EUIs of a live key set', code: 'device_exists', change: newDevice() },
    {
      title: 'the id of a device',
      code: 'device_exists',
      change: newDevice({ deviceId: device.deviceId, joinEui: OTHER_JOIN_EUI }),
    },
    {
      title: 'the id of a removed device',
      code: 'device_exists',
      change: newDevice({ deviceId: removed.deviceId, joinEui: OTHER_JOIN_EUI }),
    },
    {
      title: 'an unknown device to change',
      code: 'row_missing',
      change: { kind: 'device-changed', deviceId: UNKNOWN_ID, record: randomBytes(9) },
    },
    {
      title: 'a removed device to change',
      code: 'row_missing',
      change: { kind: 'device-changed', deviceId: removed.deviceId, record: randomBytes(9) },
    },
    {
      title: 'an unknown device to remove',
      code: 'row_missing',
      change: { kind: 'device-removed', deviceId: UNKNOWN_ID, keyDigest: randomBytes(16) },
    },
    {
      title: 'a removed device to remove',
      code: 'row_missing',
      change: { kind: 'device-removed', deviceId: removed.deviceId, keyDigest: randomBytes(16) },
    },
    {
      title: 'the id of a KEK',
      code: 'kek_exists',
      change: { kind: 'kek-added', kek: newKek({ kekId: kek.kekId, kekVersion: 2 }) },
    },
    { title: 'an unknown KEK to remove', code: 'row_missing', change: { kind: 'kek-removed', kekId: UNKNOWN_ID } },
    { title: 'the NetID of a peer', code: 'peer_exists', change: { kind: 'peer-added', peer: newPeer() } },
    {
      title: 'the certificate of a peer',
      code: 'peer_exists',
      change: { kind: 'peer-added', peer: newPeer({ id: '000014', certificates: peer.certificates }) },
    },
    {
      title: 'the CA and name of a peer',
      code: 'peer_exists',
      change: { kind: 'peer-added', peer: newPeer({ id: '000014', certificates: [], authority }) },
    },
    {
      title: 'the certificate of a peer once more',
      code: 'peer_exists',
      change: { kind: 'peer-certificate-added', peerId: peer.peerId, certificate },
    },
    {
      title: 'a certificate of an unknown peer',
      code: 'peer_exists',
      change: { kind: 'peer-certificate-added', peerId: UNKNOWN_ID, certificate: newCertificate() },
    },
    {
      title: 'a certificate to remove that the peer does not have',
      code: 'row_missing',
      change: { kind: 'peer-certificate-removed', peerId: peer.peerId, fingerprint: FREED },
    },
    {
      title: 'the certificate of another peer to remove',
      code: 'row_missing',
      change: {
        kind: 'peer-certificate-removed',
        peerId: as.peerId,
        fingerprint: certificate.fingerprint,
      },
    },
    {
      title: 'an unknown peer to change',
      code: 'row_missing',
      change: { kind: 'peer-changed', peerId: UNKNOWN_ID, settings: peer },
    },
    {
      title: 'an agreement for a device once more',
      code: 'agreement_exists',
      change: { kind: 'agreement-added', peerId: peer.peerId, scope: { devEui: DEV_EUI }, addedAt: 8 },
    },
    {
      title: 'an agreement for JoinEUIs once more',
      code: 'agreement_exists',
      change: { kind: 'agreement-added', peerId: peer.peerId, scope: { joinEui: JOIN_EUI, bits: 64 }, addedAt: 8 },
    },
    {
      title: 'an agreement with an unknown network server',
      code: 'row_missing',
      change: { kind: 'agreement-added', peerId: UNKNOWN_ID, scope: { devEui: DEV_EUI }, addedAt: 8 },
    },
    {
      title: 'an agreement with an application server',
      code: 'row_missing',
      change: { kind: 'agreement-added', peerId: as.peerId, scope: { devEui: DEV_EUI }, addedAt: 8 },
    },
    {
      title: 'an agreement to remove that is not there',
      code: 'row_missing',
      change: { kind: 'agreement-removed', peerId: peer.peerId, scope: { joinEui: JOIN_EUI, bits: 63 } },
    },
    { title: 'the prefix of a route', code: 'route_exists', change: { kind: 'route-added', route: newRoute() } },
    {
      title: 'the id of a route',
      code: 'route_exists',
      change: {
        kind: 'route-added',
        route: newRoute({ routeId: route.routeId, prefix: { joinEui: OTHER_JOIN_EUI, bits: 64 } }),
      },
    },
    {
      title: 'an unknown route to remove',
      code: 'row_missing',
      change: { kind: 'route-removed', routeId: UNKNOWN_ID },
    },
    { title: 'an unknown peer to disable', code: 'row_missing', change: { kind: 'peer-disabled', peerId: UNKNOWN_ID } },
    { title: 'an unknown peer to remove', code: 'row_missing', change: { kind: 'peer-removed', peerId: UNKNOWN_ID } },
  ] as const

  test.each(rows)('$title: $code, nothing of the order is kept, and it still waits', async ({ code, change }) => {
    using under = make()
    const { administration } = under.storage
    const { peerId } = peer
    await adopt(under.storage, device, removed, { kind: 'peer-added', peer }, { kind: 'kek-added', kek })
    await adopt(under.storage, { kind: 'peer-added', peer: as }, { kind: 'route-added', route })
    for (const scope of [{ devEui: DEV_EUI }, { joinEui: JOIN_EUI, bits: 64 }])
      await adopt(under.storage, { kind: 'agreement-added', peerId, scope, addedAt: 7 })
    await adopt(under.storage, { kind: 'device-removed', deviceId: removed.deviceId, keyDigest: removed.keyDigest })
    const epoch = administration.hsmEpoch()
    const receipts = under.receipts()
    const innocent = newDevice({ devEui: parseDevEui('0004a30b00000002') })
    const { orderId } = await submit(under.storage, { envelope: Buffer.from('sealed') })
    const outcome = { receipt: newReceipt(), epoch: epoch + 1 }
    await expect(administration.adoptOrder(orderId, { ...outcome, changes: [innocent, change] })).rejects.toMatchObject(
      {
        name: 'StorageError',
        code,
      },
    )
    expect(administration.findDevice(innocent.deviceId)).toBeUndefined()
    expect(administration.hsmEpoch()).toBe(epoch)
    expect(under.receipts()).toEqual(receipts)
    expect(administration.findOrder(orderId)).toMatchObject({ state: 'waiting', envelope: Buffer.from('sealed') })
    await administration.adoptOrder(orderId, { ...outcome, changes: [innocent] })
    expect(administration.findDevice(innocent.deviceId)).toBeDefined()
  })
}

function orders(make: () => StorageUnderTest): void {
  test('an order is kept as it came', async () => {
    using under = make()
    const order = newOrder({
      text: randomBytes(5000),
      envelope: randomBytes(9000),
      certificates: ['-----BEGIN CERTIFICATE-----\nü\n', 'second'],
      signatures: [1, 2].map((n) => ({ signer: Buffer.alloc(16, n), signature: Buffer.alloc(64, n) })),
    })
    const stored = await under.storage.administration.submitOrder(order)
    expect(stored).toEqual({
      ...order,
      orderId: expect.any(Number) as number,
      state: 'waiting',
      code: undefined,
      detail: undefined,
      submittedAt: expect.any(Number) as number,
      settledAt: undefined,
    })
    const { administration } = under.reopen()
    expect(administration.findOrder(stored.orderId)).toEqual(stored)
    expect(administration.findOrder(stored.orderId + 1)).toBeUndefined()
  })

  test("a signer's sequence number rises; another signer's is its own", async () => {
    using under = make()
    const { administration } = under.storage
    const other = Buffer.alloc(16, 0x44)
    expect(administration.highestSequence(SIGNER)).toBe(0)
    await administration.submitOrder(newOrder({ sequence: 5 }))
    for (const sequence of [5, 4])
      await expect(administration.submitOrder(newOrder({ sequence }))).rejects.toMatchObject({
        code: 'order_sequence_taken',
      })
    await administration.submitOrder(newOrder({ sequence: 4, signer: other }))
    await administration.submitOrder(newOrder({ sequence: 9 }))
    expect([SIGNER, other].map((signer) => administration.highestSequence(signer))).toEqual([9, 4])
  })

  test('adoption deletes the envelope, keeps the receipt and raises the epoch', async () => {
    using under = make()
    const { administration } = under.storage
    const { orderId } = await submit(under.storage, { envelope: randomBytes(500) })
    const receipt = newReceipt()
    await administration.adoptOrder(orderId, { changes: [], receipt, epoch: 12 })
    const adopted = administration.findOrder(orderId)
    expect(adopted).toMatchObject({ state: 'adopted', envelope: undefined, code: undefined })
    expect(adopted?.settledAt).toEqual(expect.any(Number))
    expect(administration.hsmEpoch()).toBe(12)
    expect(under.receipts()).toEqual([receipt])
  })

  test('refusal deletes the envelope and keeps the code', async () => {
    using under = make()
    const { administration } = under.storage
    const [one, two] = [await submit(under.storage, { envelope: randomBytes(500) }), await submit(under.storage)]
    await administration.refuseOrder(one.orderId, 'order_replayed', 'sequence 1')
    await administration.refuseOrder(two.orderId, 'order_malformed', undefined)
    const refused = { state: 'refused', envelope: undefined }
    expect(administration.findOrder(one.orderId)).toMatchObject({
      ...refused,
      code: 'order_replayed',
      detail: 'sequence 1',
    })
    expect(administration.findOrder(two.orderId)).toMatchObject({
      ...refused,
      code: 'order_malformed',
      detail: undefined,
    })
  })

  test('an order is settled once', async () => {
    using under = make()
    const { administration } = under.storage
    const [adopted, refused] = [await submit(under.storage), await submit(under.storage)]
    const outcome = () => ({ changes: [], receipt: newReceipt(), epoch: 1 })
    await administration.adoptOrder(adopted.orderId, outcome())
    await administration.refuseOrder(refused.orderId, 'order_malformed', undefined)
    for (const { orderId } of [adopted, refused, { orderId: 999 }]) {
      await expect(administration.adoptOrder(orderId, outcome())).rejects.toMatchObject({ code: 'row_missing' })
      await expect(administration.refuseOrder(orderId, 'x', undefined)).rejects.toMatchObject({ code: 'row_missing' })
    }
    expect(administration.findOrder(adopted.orderId)?.state).toBe('adopted')
  })

  test('waiting orders are listed oldest first, settled ones newest first, up to the limit', async () => {
    using under = make()
    const { administration } = under.storage
    const ids: number[] = []
    for (let i = 0; i < 6; i++) ids.push((await submit(under.storage)).orderId)
    for (const orderId of ids.slice(3)) await administration.refuseOrder(orderId, 'x', undefined)
    const listed = (state: 'waiting' | 'refused' | 'adopted', limit: number) =>
      administration.listOrders(state, limit).map(({ orderId }) => orderId)
    expect(listed('waiting', 10)).toEqual(ids.slice(0, 3))
    expect(listed('waiting', 2)).toEqual(ids.slice(0, 2))
    expect(listed('refused', 2)).toEqual([ids[5], ids[4]])
    expect(listed('adopted', 2)).toEqual([])
    expect(() => listed('waiting', MAX_PAGE_ROWS + 1)).toThrow(RangeError)
    expect(listed('waiting', MAX_PAGE_ROWS)).toHaveLength(3)
  })
}

function devicePages(make: () => StorageUnderTest): void {
  test('pages are in order of DevEUI, complete and without repetition', async () => {
    using under = make()
    const { administration } = under.storage
    const euis = Array.from({ length: 25 }, () => parseDevEui(randomBytes(8).toString('hex')))
    const joinEuis = ['70b3d57ed0000009', '70b3d57ed0000007', '70b3d57ed0000008'].map(parseJoinEui)
    // One DevEUI under three JoinEUIs: three devices that no page may lose at its edge.
    const twins = joinEuis.map((joinEui) => newDevice({ joinEui }))
    await adopt(under.storage, ...euis.map((devEui) => newDevice({ devEui })), ...twins)
    for (const limit of [1, 3, 28, 29]) {
      const devices = []
      let after: string | undefined
      for (;;) {
        const page = administration.listDevices({ after, limit })
        devices.push(...page)
        const last = page.at(-1)
        if (last === undefined) break
        after = last.deviceId.toString('hex')
      }
      expect(devices.map(({ keySets }) => keySets[0]?.devEui)).toEqual([...euis, DEV_EUI, DEV_EUI, DEV_EUI].sort())
      expect(new Set(devices.map(({ deviceId }) => deviceId.toString('hex'))).size).toBe(28)
    }
    expect(administration.findDevices(DEV_EUI)).toHaveLength(3)
    expect(() => administration.listDevices({ after: undefined, limit: MAX_PAGE_ROWS + 1 })).toThrow(RangeError)
  })

  test('a page goes on after a device that was removed meanwhile; an unknown place has no rows', async () => {
    using under = make()
    const { administration } = under.storage
    const devices = ['01', '02', '03'].map((end) => newDevice({ devEui: parseDevEui(`0004a30b000000${end}`) }))
    await adopt(under.storage, ...devices)
    const [, second, third] = administration.listDevices({ after: undefined, limit: 3 })
    if (second === undefined || third === undefined) throw new Error('three devices expected')
    const after = second.deviceId.toString('hex')
    expect(administration.listDevices({ after, limit: 3 })).toEqual([third])
    await adopt(under.storage, { kind: 'device-removed', deviceId: second.deviceId, keyDigest: randomBytes(16) })
    expect(administration.listDevices({ after, limit: 3 })).toEqual([third])
    expect(administration.listDevices({ after: UNKNOWN_ID.toString('hex'), limit: 3 })).toEqual([])
  })
}

function singleValues(make: () => StorageUnderTest): void {
  test('the organisation has a random id of its own', () => {
    using one = make()
    using two = make()
    const id = one.storage.administration.organisationId()
    expect(id).toHaveLength(16)
    expect(two.storage.administration.organisationId()).not.toEqual(id)
    expect(one.reopen().administration.organisationId()).toEqual(id)
  })

  test("the epoch of the HSM's store never falls", async () => {
    using under = make()
    const { administration } = under.storage
    expect(administration.hsmEpoch()).toBe(0)
    await administration.recordHsmEpoch(5)
    await administration.recordHsmEpoch(4)
    expect(administration.hsmEpoch()).toBe(5)
    await administration.recordHsmEpoch(6)
    expect(under.reopen().administration.hsmEpoch()).toBe(6)
  })

  test('the public key of the operator is not there at first, and is kept', async () => {
    using under = make()
    const { administration } = under.storage
    expect(administration.operatorPublicKey()).toBeUndefined()
    for (const spki of [randomBytes(44), randomBytes(44)]) {
      await administration.recordOperatorPublicKey(spki)
      expect(administration.operatorPublicKey()).toEqual(spki)
    }
    const spki = administration.operatorPublicKey()
    expect(under.reopen().administration.operatorPublicKey()).toEqual(spki)
  })

  test('API keys are created, found by the hash of their token, and revoked once', async () => {
    using under = make()
    const { administration } = under.storage
    const keys = ['first', 'second'].map((name, i) => ({
      apiKeyId: `key-${i}`,
      name,
      tokenHash: randomBytes(32),
      createdAt: 1_700_000_000_000 + i,
      revokedAt: undefined,
    }))
    for (const key of keys) await administration.createApiKey(key)
    expect(administration.listApiKeys()).toEqual(keys)
    expect(administration.findApiKey(keys[1]?.tokenHash ?? UNKNOWN_ID)).toEqual(keys[1])
    expect(administration.findApiKey(randomBytes(32))).toBeUndefined()
    expect(await administration.revokeApiKey('key-0')).toBe(true)
    expect(await administration.revokeApiKey('key-0')).toBe(false)
    expect(await administration.revokeApiKey('key-9')).toBe(false)
    expect(administration.listApiKeys().map(({ revokedAt }) => typeof revokedAt)).toEqual(['number', 'undefined'])
  })

  test('receipts and heads that no answer carried are recorded once', async () => {
    using under = make()
    const { administration, joins } = under.storage
    const receipts = [newReceipt(), newReceipt()]
    const head: ReceiptHeadRow = {
      bootEpoch: 7,
      worker: 2,
      sequence: 40,
      hash: randomBytes(32),
      closing: false,
      signature: randomBytes(64),
    }
    for (const heads of [[head], [head, { ...head, closing: true }]]) {
      await joins.commit(receipts.map((receipt) => ({ receipt })))
      await administration.recordHeads(heads)
    }
    expect(under.receipts()).toEqual(receipts)
    expect(under.heads()).toEqual(['7/2/40/0', '7/2/40/1'])
    await expect(joins.commit([{ receipt: Buffer.from('none') }])).rejects.toMatchObject({ name: 'HsmError' })
  })
}
