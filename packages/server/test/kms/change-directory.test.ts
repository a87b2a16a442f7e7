import { randomBytes } from 'node:crypto'
import type {
  AgreementChange,
  Change,
  PeerAdd,
  PeerCertificateChange,
  PeerSet,
  PeerTokenAdd,
  PeerTokenRemove,
  RouteAdd,
} from '@mortise/hsm'
import { parseDevEui, parseJoinEui } from '@mortise/lorawan'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { AdministrationError, type AdministrationErrorCode } from '../../src/kms/index.ts'
import { MAX_PEER_CERTIFICATES, MAX_PEER_TOKENS } from '../../src/kms/plan-credentials.ts'
import { MAX_AGREEMENTS, MAX_PEERS, MAX_ROUTES } from '../../src/kms/plan-directory.ts'
import { makeAuthority, makeCertificate, type TestCertificate, VALIDITY } from '../support/certificates.ts'
import { startHsm, type TestHsm } from '../support/hsm.ts'
import { buildOrder, peerAdd, peerChange, randomId } from '../support/orders.ts'
import { startServer, type TestServer } from '../support/server.ts'

let hsm: TestHsm
let server: TestServer
beforeAll(async () => {
  hsm = await startHsm()
  server = await startServer(hsm)
  await server.reached('ready')
})
afterAll(async () => {
  await server[Symbol.asyncDispose]()
  await hsm[Symbol.asyncDispose]()
})

const authority = makeAuthority('CA of peers')
const certificates = Array.from({ length: MAX_PEER_CERTIFICATES + 1 }, (_, index) => makeCertificate(`ns-${index}`))
const [first, second, ...others] = certificates as [TestCertificate, TestCertificate, ...TestCertificate[]]
/** Digests, as an order names them. */
const tokens = Array.from({ length: MAX_PEER_TOKENS + 1 }, () => randomBytes(32).toString('hex'))
const [token, nextToken] = tokens as [string, string, ...string[]]
const DEV_EUI = parseDevEui('0004a30b001a2b3c')
const EVERY = { joinEui: parseJoinEui('0000000000000000'), bits: 0 }
const PREFIX = { joinEui: parseJoinEui('70b3d57ed0000000'), bits: 40 }

/** A peer as it is before each test: nobody but this file has any. */
let peer: PeerAdd
beforeEach(async () => {
  await server.reached('ready')
  const { peers, routes } = await shown()
  peer = peerAdd(first.fingerprint)
  const removed = [
    ...peers.map(({ peerId, kind, id }): Change => ({ action: 'peer.remove', peer: peerId, kind, id })),
    ...routes.map(({ routeId, joinEui, bits }): Change => ({ action: 'route.remove', route: routeId, joinEui, bits })),
  ]
  await order([...removed, peer], [first])
})

async function submit(changes: readonly Change[], shownCertificates: readonly TestCertificate[] = []) {
  const { nextSequence: sequence } = await server.administration.status()
  const pems = shownCertificates.map(({ cert }) => cert)
  const content = { sequence, changes, ...(pems.length > 0 && { certificates: pems }) }
  return await server.administration.submitOrder(buildOrder(hsm.operator, hsm, content))
}

async function order(changes: readonly Change[], shownCertificates: readonly TestCertificate[] = []): Promise<void> {
  expect(await submit(changes, shownCertificates)).toMatchObject({ state: 'adopted' })
}

async function shown() {
  const { administration } = server
  return {
    peers: await administration.listPeers(),
    agreements: await administration.listAgreements(),
    routes: await administration.listRoutes(),
  }
}

const nameOf = ({ peer, kind, id }: PeerAdd) => ({ peer, kind, id })
const set = (change: Omit<PeerSet, 'action' | 'peer' | 'kind' | 'id'>): PeerSet => ({
  ...{ action: 'peer.set', ...nameOf(peer), ...change },
})
const certificateChange = (word: 'add' | 'remove', certificate: TestCertificate): PeerCertificateChange => ({
  ...{ action: `peer.certificate.${word}`, ...nameOf(peer), certificate: certificate.fingerprint },
})
const tokenAdd = (token: string, header = 'authorization'): PeerTokenAdd => ({
  ...{ action: 'peer.token.add', ...nameOf(peer), token, header },
})
const tokenRemove = (token: string): PeerTokenRemove => ({ action: 'peer.token.remove', ...nameOf(peer), token })
const withToken = (token: string, change: Partial<PeerAdd> = {}): PeerAdd => ({
  ...{ action: 'peer.add', peer: randomId(), kind: 'ns', id: '000014', protocol: '1.0' },
  ...{ token, header: 'authorization', ...change },
})
const agreement = (
  word: 'add' | 'remove',
  scope: { readonly devEui: typeof DEV_EUI } | typeof EVERY,
): AgreementChange => ({ action: `agreement.${word}`, peer: peer.peer, kind: 'ns', id: peer.id, ...scope })
const named = (change: Partial<PeerAdd> = {}): PeerAdd => ({
  ...{ action: 'peer.add', peer: randomId(), kind: 'ns', id: '000014', protocol: '1.0' },
  ...{ authority: authority.fingerprint, name: 'ns.example', ...change },
})
const route = (change: Partial<RouteAdd> = {}): RouteAdd => ({
  ...{ action: 'route.add', route: randomId(), ...PREFIX, url: 'https://js.partner.example/', protocol: '1.1' },
  ...{ certificate: first.fingerprint, authority: authority.fingerprint, ...change },
})

describe('a peer', () => {
  it('has settings from its beginning; what is set later leaves the others, null takes away', async () => {
    const asyncUrl = 'https://ns.example/bi'
    const nsId = '70b3d57ed0000aaa'
    await order(
      [
        peerChange('peer.remove', peer),
        (peer = peerAdd(first.fingerprint, {
          protocol: '1.1',
          dialect: 'standard-1.1',
          asyncUrl,
          nsId,
          kekOnly: true,
        })),
      ],
      [first],
    )
    const before = { protocol: '1.1', dialect: 'standard-1.1', asyncUrl, nsId, kekOnly: true }
    expect((await shown()).peers).toMatchObject([before])
    await order([set({ kekOnly: false })])
    expect((await shown()).peers).toMatchObject([{ ...before, kekOnly: false }])
    await order([set({ nsId: null, asyncUrl: null, dialect: 'chirpstack-4', protocol: '1.0' }), set({ kekOnly: true })])
    const [after] = (await shown()).peers
    expect(after).toMatchObject({ protocol: '1.0', dialect: 'chirpstack-4', kekOnly: true })
    expect(Object.keys(after!)).not.toEqual(expect.arrayContaining(['nsId']))
    expect(after).not.toHaveProperty('asyncUrl')
    await order([set({ dialect: null, kekOnly: null })])
    expect((await shown()).peers).toMatchObject([{ dialect: 'standard-1.0', kekOnly: false }])
  })

  it('that is an application server has none but the protocol', async () => {
    const as = peerAdd(second.fingerprint, { kind: 'as', id: 'app.example' })
    await order([as], [second])
    await order([{ action: 'peer.set', ...nameOf(as), protocol: '1.1' }])
    const [view] = (await shown()).peers.filter(({ kind }) => kind === 'as')
    expect(view).toMatchObject({ protocol: '1.1' })
    for (const member of ['dialect', 'kekOnly', 'asyncUrl']) expect(view).not.toHaveProperty(member)
  })

  it('changes from one certificate to another', async () => {
    await order([certificateChange('add', second)], [second])
    const certificates = [
      { fingerprint: first.fingerprint, subject: 'CN=ns-0' },
      { fingerprint: second.fingerprint, subject: 'CN=ns-1' },
    ]
    expect((await shown()).peers).toMatchObject([{ certificates }])
    await order([certificateChange('remove', first)])
    expect((await shown()).peers).toMatchObject([{ certificates: [{ fingerprint: second.fingerprint }] }])
    // What it let go is free.
    await order([peerAdd(first.fingerprint, { id: '000014' })], [first])
  })

  it('changes its only certificate in one order, and swaps them with another in one', async () => {
    await order([certificateChange('add', second), certificateChange('remove', first)], [second])
    const other = peerAdd(first.fingerprint, { id: '000014' })
    await order([other], [first])
    const [third] = others as [TestCertificate]
    const ofOther = (word: 'add' | 'remove', { fingerprint }: TestCertificate): PeerCertificateChange => ({
      ...{ action: `peer.certificate.${word}`, ...nameOf(other), certificate: fingerprint },
    })
    await order(
      [
        certificateChange('add', third),
        certificateChange('remove', second),
        ofOther('add', second),
        ofOther('remove', first),
        certificateChange('add', first),
      ],
      [first, second, third],
    )
    const fingerprints = (await shown()).peers.map(({ certificates }) => certificates.map((one) => one.fingerprint))
    expect(fingerprints).toEqual([[third.fingerprint, first.fingerprint], [second.fingerprint]])
  })

  it('may be known by a CA and a name, and then have no certificate', async () => {
    const add = named()
    await order([add], [authority])
    const [, view] = (await shown()).peers
    expect(view).toMatchObject({
      certificates: [],
      authority: { fingerprint: authority.fingerprint, name: 'ns.example', subject: 'CN=CA of peers' },
    })
    const change = { ...nameOf(add), certificate: second.fingerprint }
    await order([{ action: 'peer.certificate.add', ...change }], [second])
    await order([{ action: 'peer.certificate.remove', ...change }])
    expect((await shown()).peers[1]).toMatchObject({ certificates: [] })
  })
})

describe('a peer that shows a token', () => {
  it('needs no certificate, and changes from one token to another', async () => {
    const add = withToken(token, { header: 'x-join-server' })
    await order([add])
    const shownTokens = async () => (await shown()).peers[1]
    expect(await shownTokens()).toMatchObject({
      certificates: [],
      tokens: [{ digest: token, header: 'x-join-server' }],
    })
    const change = { ...nameOf(add), token: nextToken, header: 'authorization' }
    await order([
      { action: 'peer.token.add', ...change },
      { action: 'peer.token.remove', ...nameOf(add), token },
    ])
    expect(await shownTokens()).toMatchObject({ tokens: [{ digest: nextToken, header: 'authorization' }] })
    // What it let go is free.
    await order([tokenAdd(token)])
    expect((await shown()).peers[0]).toMatchObject({ certificates: [{}], tokens: [{ digest: token }] })
  })

  it('may lose its only certificate, or else its only token', async () => {
    await order([tokenAdd(token), certificateChange('remove', first)])
    expect((await shown()).peers).toMatchObject([{ certificates: [], tokens: [{ digest: token }] }])
    await order([certificateChange('add', first), tokenRemove(token)], [first])
    expect((await shown()).peers).toMatchObject([{ certificates: [{}], tokens: [] }])
    const issued = named()
    await order([issued, { action: 'peer.token.add', ...nameOf(issued), token, header: 'authorization' }], [authority])
    await order([{ action: 'peer.token.remove', ...nameOf(issued), token }])
    expect((await shown()).peers[1]).toMatchObject({ authority: { name: 'ns.example' }, tokens: [] })
  })
})

describe('agreements', () => {
  it('are added and removed, and go with their network server', async () => {
    await order([agreement('add', { devEui: DEV_EUI }), agreement('add', EVERY), agreement('add', PREFIX)])
    const common = { peerId: peer.peer, netId: '000013' }
    const { agreements } = await shown()
    expect(agreements).toMatchObject([
      { ...common, devEui: DEV_EUI },
      { ...common, ...EVERY },
      { ...common, ...PREFIX },
    ])
    expect(agreements[0]).not.toHaveProperty('joinEui')
    await order([agreement('remove', EVERY)])
    expect((await shown()).agreements).toHaveLength(2)
    await order([peerChange('peer.remove', peer), (peer = peerAdd(first.fingerprint))], [first])
    expect((await shown()).agreements).toEqual([])
  })

  it('are so many and no more', async () => {
    const some = (from: number, count: number) =>
      Array.from({ length: count }, (_, index) => {
        const devEui = parseDevEui((from + index).toString(16).padStart(16, '0'))
        return agreement('add', { devEui })
      })
    for (let from = 0; from < MAX_AGREEMENTS; from += 500) await order(some(from, 500))
    await expect(submit(some(MAX_AGREEMENTS, 1))).rejects.toMatchObject({ code: 'agreement_limit' })
    await order([...some(0, 1).map((change) => ({ ...change, action: 'agreement.remove' }) as const)])
    await order(some(MAX_AGREEMENTS, 1))
    expect((await shown()).agreements).toHaveLength(MAX_AGREEMENTS)
  })
})

/** Orders are taken with so many changes each. */
const AT_ONCE = 500

it('peers are so many and no more', async () => {
  const all = Array.from({ length: MAX_PEERS }, (_, index) =>
    withToken(randomBytes(32).toString('hex'), { id: (0x100000 + index).toString(16) }),
  )
  const [last] = all as [PeerAdd]
  // With the one of every test.
  for (let from = 1; from < MAX_PEERS; from += AT_ONCE) await order(all.slice(from, from + AT_ONCE))
  expect((await shown()).peers).toHaveLength(MAX_PEERS)
  await expect(submit([last])).rejects.toMatchObject({ code: 'peer_limit' })
  await order([peerChange('peer.remove', peer), last])
  for (let from = 0; from < MAX_PEERS; from += AT_ONCE)
    await order(all.slice(from, from + AT_ONCE).map((one) => peerChange('peer.remove', one)))
  expect((await shown()).peers).toEqual([])
})

describe('routes', () => {
  it('are so many and no more', async () => {
    const add = (index: number) => route({ joinEui: parseJoinEui(index.toString(16).padStart(16, '0')), bits: 64 })
    const all = Array.from({ length: MAX_ROUTES }, (_, index) => add(index))
    for (let from = 0; from < MAX_ROUTES; from += AT_ONCE)
      await order(all.slice(from, from + AT_ONCE), [first, authority])
    expect((await shown()).routes).toHaveLength(MAX_ROUTES)
    await expect(submit([add(MAX_ROUTES)], [first, authority])).rejects.toMatchObject({ code: 'route_limit' })
    const removed = (one: RouteAdd): Change => ({
      ...{ action: 'route.remove', route: one.route, joinEui: one.joinEui, bits: one.bits },
    })
    await order([removed(all[0]!), add(MAX_ROUTES)], [first, authority])
    for (let from = 1; from < MAX_ROUTES; from += AT_ONCE) await order(all.slice(from, from + AT_ONCE).map(removed))
  })

  it('are added with both certificates, and removed', async () => {
    const add = route()
    await order([add], [first, authority])
    expect((await shown()).routes).toMatchObject([
      {
        ...{ routeId: add.route, ...PREFIX, url: add.url, protocol: '1.1' },
        certificate: { fingerprint: first.fingerprint },
        authority: { fingerprint: authority.fingerprint },
      },
    ])
    await order([{ action: 'route.remove', route: add.route, ...PREFIX }])
    expect((await shown()).routes).toEqual([])
  })
})

describe('an order is refused, and changes nothing:', () => {
  const expired = makeAuthority('Expired CA', VALIDITY.past)
  const leaf = authority.issue()
  const notAuthority = makeAuthority('No CA', { isAuthority: false })
  const unknown = { peer: randomId(), kind: 'ns', id: '000013' } as const
  type Content = readonly [changes: Change[], certificates?: TestCertificate[]]

  /** Each breaks one thing; the twin, which does not, is adopted. */
  const rows: [name: string, code: AdministrationErrorCode, broken: () => Content, twin: () => Content][] = [
    [
      'a dialect that nobody speaks',
      'peer_settings_invalid',
      () => [[set({ dialect: 'chirpstack-5' })]],
      () => [[set({ dialect: 'chirpstack-4' })]],
    ],
    [
      'a protocol that the dialect does not speak',
      'peer_settings_invalid',
      () => [[set({ dialect: 'chirpstack-4', protocol: '1.1' })]],
      () => [[set({ dialect: 'the-things-stack', protocol: '1.1' })]],
    ],
    [
      'a dialect that does not speak the protocol that stays',
      'peer_settings_invalid',
      () => [[set({ dialect: 'standard-1.1' })]],
      () => [[set({ dialect: 'standard-1.1', protocol: '1.1' })]],
    ],
    [
      'an NSID in a protocol without one',
      'peer_settings_invalid',
      () => [[set({ nsId: '70b3d57ed0000aaa' })]],
      () => [[set({ nsId: '70b3d57ed0000aaa', protocol: '1.1' })]],
    ],
    [
      'a URL for answers of a dialect that takes none',
      'peer_settings_invalid',
      () => [[set({ asyncUrl: 'https://ns.example/', dialect: 'the-things-stack' })]],
      () => [[set({ asyncUrl: 'https://ns.example/', dialect: 'chirpstack-4' })]],
    ],
    [
      'settings that do not go together for a new peer',
      'peer_settings_invalid',
      () => [[peerAdd(second.fingerprint, { id: '000014', dialect: 'chirpstack-3', protocol: '1.1' })], [second]],
      () => [[peerAdd(second.fingerprint, { id: '000014', dialect: 'chirpstack-3' })], [second]],
    ],
    [
      'settings of a peer that is not there',
      'peer_unknown',
      () => [[{ ...set({ kekOnly: true }), ...unknown }]],
      () => [[set({ kekOnly: true })]],
    ],
    [
      'settings of a peer under another name',
      'order_record_mismatch',
      () => [[{ ...set({ kekOnly: true }), id: '000014' }]],
      () => [[set({ kekOnly: true })]],
    ],
    [
      'settings of a peer that the same order removes',
      'peer_unknown',
      () => [[peerChange('peer.remove', peer), set({ kekOnly: true })]],
      () => [[set({ kekOnly: true }), peerChange('peer.remove', peer)]],
    ],
    [
      'a certificate that did not come',
      'certificate_mismatch',
      () => [[certificateChange('add', second)]],
      () => [[certificateChange('add', second)], [second]],
    ],
    [
      'a certificate that the peer has',
      'peer_exists',
      () => [[certificateChange('add', first)], [first]],
      () => [[certificateChange('add', second)], [second]],
    ],
    [
      'a certificate that another peer has',
      'peer_exists',
      () => [[peerAdd(second.fingerprint, { id: '000014' }), certificateChange('add', second)], [second]],
      () => [
        [peerAdd(others[0]!.fingerprint, { id: '000014' }), certificateChange('add', second)],
        [others[0]!, second],
      ],
    ],
    [
      'one certificate too many',
      'certificate_limit',
      () => [[second, ...others].map((one) => certificateChange('add', one)), [second, ...others]],
      () => [[second, ...others.slice(1)].map((one) => certificateChange('add', one)), [second, ...others.slice(1)]],
    ],
    [
      'a certificate to remove that the peer does not have',
      'certificate_unknown',
      () => [[certificateChange('remove', second)]],
      () => [[certificateChange('add', second), certificateChange('remove', second)], [second]],
    ],
    [
      'the last certificate to remove',
      'certificate_last',
      () => [[certificateChange('remove', first)]],
      () => [[certificateChange('add', second), certificateChange('remove', first)], [second]],
    ],
    [
      'a token that the peer has, in another header',
      'peer_exists',
      () => [[tokenAdd(token), tokenAdd(token, 'x-join-server')]],
      () => [[tokenAdd(token), tokenAdd(nextToken, 'x-join-server')]],
    ],
    [
      'a token that another peer has',
      'peer_exists',
      () => [[withToken(token), tokenAdd(token)]],
      () => [[withToken(token), tokenAdd(nextToken)]],
    ],
    [
      'a new peer with the token of another',
      'peer_exists',
      () => [[tokenAdd(token), withToken(token)]],
      () => [[tokenAdd(token), tokenRemove(token), withToken(token)]],
    ],
    [
      'a token in a header that says how the message is sent',
      'token_header_reserved',
      () => [[tokenAdd(token, 'transfer-encoding')]],
      () => [[tokenAdd(token, 'proxy-authorization')]],
    ],
    [
      'a new peer with a token in the header of another join server',
      'token_header_reserved',
      () => [[withToken(token, { header: 'mortise-forwarded' })]],
      () => [[withToken(token, { header: 'mortise-forward' })]],
    ],
    [
      'one token too many',
      'token_limit',
      () => [tokens.map((one) => tokenAdd(one))],
      () => [tokens.slice(1).map((one) => tokenAdd(one))],
    ],
    [
      'a token to remove that the peer does not have',
      'token_unknown',
      () => [[tokenAdd(token), tokenRemove(nextToken)]],
      () => [[tokenAdd(token), tokenRemove(token)]],
    ],
    [
      'the last token to remove',
      'token_last',
      () => [[tokenAdd(token), certificateChange('remove', first), tokenRemove(token)]],
      () => [[tokenAdd(token), tokenRemove(token)]],
    ],
    [
      'the last certificate to remove, after the last token',
      'certificate_last',
      () => [[tokenAdd(token), tokenRemove(token), certificateChange('remove', first)]],
      () => [[tokenAdd(token), certificateChange('remove', first)]],
    ],
    [
      'a token of a peer under another name',
      'order_record_mismatch',
      () => [[{ ...tokenAdd(token), id: '000014' }]],
      () => [[tokenAdd(token)]],
    ],
    [
      'a CA that is none',
      'certificate_not_authority',
      () => [[named({ authority: notAuthority.fingerprint })], [notAuthority]],
      () => [[named()], [authority]],
    ],
    [
      'a certificate that the CA issued, in place of the CA',
      'certificate_not_authority',
      () => [[named({ authority: leaf.fingerprint })], [leaf]],
      () => [[named()], [authority]],
    ],
    [
      'an expired CA',
      'certificate_expired',
      () => [[named({ authority: expired.fingerprint })], [expired]],
      () => [[named()], [authority]],
    ],
    ['a CA that did not come', 'certificate_mismatch', () => [[named()]], () => [[named()], [authority]]],
    [
      'CA and name of another peer',
      'peer_exists',
      () => [[named(), named({ id: '000015', name: 'NS.example' })], [authority]],
      () => [[named(), named({ id: '000015', name: 'ns2.example' })], [authority]],
    ],
    [
      'an agreement with a peer that is not there',
      'peer_unknown',
      () => [[{ ...agreement('add', EVERY), ...unknown }]],
      () => [[agreement('add', EVERY)]],
    ],
    [
      'an agreement with a peer under another name',
      'order_record_mismatch',
      () => [[{ ...agreement('add', EVERY), id: '000014' }]],
      () => [[agreement('add', EVERY)]],
    ],
    [
      'an agreement once more',
      'agreement_exists',
      () => [[agreement('add', PREFIX), agreement('add', PREFIX)]],
      () => [[agreement('add', PREFIX), agreement('add', EVERY)]],
    ],
    [
      'an agreement to remove that is not there',
      'agreement_unknown',
      () => [[agreement('add', PREFIX), agreement('remove', EVERY)]],
      () => [[agreement('add', PREFIX), agreement('remove', PREFIX)]],
    ],
    [
      'an agreement that went with its peer',
      'agreement_unknown',
      () => [[agreement('add', EVERY), ...replaced(), agreement('remove', EVERY)], [first]],
      () => [[agreement('add', EVERY), ...replaced(), agreement('add', EVERY)], [first]],
    ],
    [
      'a route for JoinEUIs that have one',
      'route_exists',
      () => [
        [route(), route()],
        [first, authority],
      ],
      () => [
        [route(), route({ bits: 41 })],
        [first, authority],
      ],
    ],
    [
      'the id of another route',
      'route_exists',
      () => [
        [route({ route: peer.peer, bits: 42 }), route({ route: peer.peer, bits: 43 })],
        [first, authority],
      ],
      () => [
        [route({ bits: 42 }), route({ bits: 43 })],
        [first, authority],
      ],
    ],
    [
      'a route without the CA',
      'certificate_mismatch',
      () => [[route({ bits: 44 })], [first]],
      () => [[route({ bits: 44 })], [first, authority]],
    ],
    [
      'a route to remove that is not there',
      'route_unknown',
      () => [[{ action: 'route.remove', route: randomId(), ...PREFIX }]],
      () => withRoute({ ...PREFIX, bits: 45 }),
    ],
    [
      'a route to remove for other JoinEUIs',
      'order_record_mismatch',
      () => withRoute({ ...PREFIX, bits: 46 }),
      () => withRoute({ ...PREFIX, bits: 45 }),
    ],
  ]

  it.each(rows)('%s (%s)', async (_name, code, broken, twin) => {
    const before = await shown()
    const epoch = await knownEpoch()
    const error: unknown = await submit(...broken()).catch((error: unknown) => error)
    expect(error).toBeInstanceOf(AdministrationError)
    expect((error as AdministrationError).code).toBe(code)
    expect(await shown()).toEqual(before)
    await order(...twin())
    // The HSM has carried out one order: the other was refused before it was asked.
    expect(await knownEpoch()).toBe(epoch + 1)
  })

  const knownEpoch = async () => (await server.administration.status()).hsm.knownEpoch

  /** The peer goes, and another with its id in its place. */
  function replaced(): Change[] {
    return [peerChange('peer.remove', peer), peer]
  }

  /** A route that is added, and removed under this prefix. */
  function withRoute(prefix: typeof PREFIX): Content {
    const add = route({ bits: 45 })
    return [
      [add, { action: 'route.remove', route: add.route, ...prefix }],
      [first, authority],
    ]
  }
})
