import { randomBytes } from 'node:crypto'
import { parseDevEui } from '@mortise/lorawan'
import { expect, test } from 'vitest'
import {
  adopt,
  DEV_EUI,
  JOIN_EUI,
  newAuthority,
  newCertificate,
  newDevice,
  newKek,
  newPeer,
  newReceipt,
  newRoute,
  newToken,
  OTHER_JOIN_EUI,
  submit,
} from '../fixtures.ts'
import { FREED, UNKNOWN_ID, type StorageUnderTest } from './subject.ts'

/** What the database has before. */
const device = newDevice()
const removed = newDevice({ devEui: parseDevEui('0004a30b00000001') })
const authority = newAuthority()
const certificate = newCertificate()
const token = newToken()
const peer = newPeer({ certificates: [certificate], authority, tokens: [token] })
const as = newPeer({ kind: 'as', id: 'as.example' })
const route = newRoute()
const kek = newKek()

const OF_DEVICES = [
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
] as const

const OF_KEKS = [
  {
    title: 'the id of a KEK',
    code: 'kek_exists',
    change: { kind: 'kek-added', kek: newKek({ kekId: kek.kekId, kekVersion: 2 }) },
  },
  { title: 'an unknown KEK to remove', code: 'row_missing', change: { kind: 'kek-removed', kekId: UNKNOWN_ID } },
] as const

const OF_PEERS = [
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
  { title: 'an unknown peer to disable', code: 'row_missing', change: { kind: 'peer-disabled', peerId: UNKNOWN_ID } },
  { title: 'an unknown peer to remove', code: 'row_missing', change: { kind: 'peer-removed', peerId: UNKNOWN_ID } },
] as const

const OF_TOKENS = [
  {
    title: 'the token of a peer',
    code: 'peer_exists',
    change: { kind: 'peer-added', peer: newPeer({ id: '000014', tokens: [token] }) },
  },
  {
    title: 'the token of a peer once more, in another header',
    code: 'peer_exists',
    change: { kind: 'peer-token-added', peerId: peer.peerId, token: { ...token, header: 'x-join-server' } },
  },
  {
    title: 'a token of an unknown peer',
    code: 'peer_exists',
    change: { kind: 'peer-token-added', peerId: UNKNOWN_ID, token: newToken() },
  },
  {
    title: 'a token to remove that the peer does not have',
    code: 'row_missing',
    change: { kind: 'peer-token-removed', peerId: peer.peerId, digest: FREED },
  },
  {
    title: 'the token of another peer to remove',
    code: 'row_missing',
    change: { kind: 'peer-token-removed', peerId: as.peerId, digest: token.digest },
  },
] as const

const OF_AGREEMENTS = [
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
] as const

const OF_ROUTES = [
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
] as const

const REFUSED = [...OF_DEVICES, ...OF_KEKS, ...OF_PEERS, ...OF_TOKENS, ...OF_AGREEMENTS, ...OF_ROUTES]

/** An order is adopted as a whole or not at all, whichever of its changes the database refuses. */
export function refusedAdoptions(make: () => StorageUnderTest): void {
  test.each(REFUSED)('$title: $code, nothing of the order is kept, and it still waits', async ({ code, change }) => {
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
