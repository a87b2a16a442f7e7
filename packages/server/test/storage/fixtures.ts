import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { encodeReceipt } from '@mortise/hsm'
import { type DevEui, type JoinEui, parseDevAddr, parseDevEui, parseJoinEui, parseNetId } from '@mortise/lorawan'
import type {
  AdoptedChange,
  JoinCommit,
  Kek,
  JoinKeySet,
  NewOrder,
  Peer,
  PeerAuthority,
  PeerCertificate,
  PeerToken,
  Route,
  Storage,
  StoredOrder,
} from '../../src/storage/index.ts'

export const JOIN_EUI = parseJoinEui('70b3d57ed0000001')
export const OTHER_JOIN_EUI = parseJoinEui('70b3d57ed0000002')
export const DEV_EUI = parseDevEui('0004a30b001a2b3c')

/** A directory that goes with the test. */
export function temporaryDirectory(): Disposable & { readonly path: string } {
  const path = mkdtempSync(join(tmpdir(), 'mortise-storage-'))
  return {
    path,
    [Symbol.dispose]() {
      rmSync(path, { recursive: true, force: true })
    },
  }
}

let receiptSequence = 0

/** A well-formed receipt with a sequence number of its own. */
export function newReceipt(sequence = ++receiptSequence): Buffer {
  return encodeReceipt({
    hsmId: Buffer.alloc(8, 1),
    bootEpoch: 7,
    worker: 2,
    sequence,
    timeMs: 1_700_000_000_000,
    operation: 'answerJoin',
    result: 0,
    deviceHash: randomBytes(16),
    recordDigest: randomBytes(16),
    appSKey: 'none',
    kekIds: [],
    previous: randomBytes(32),
  })
}

type DeviceAdded = Extract<AdoptedChange, { kind: 'device-added' }>

export function newDevice(change: Partial<DeviceAdded> = {}): DeviceAdded {
  return {
    kind: 'device-added',
    deviceId: randomBytes(16),
    devEui: DEV_EUI,
    joinEui: JOIN_EUI,
    generation: 1,
    keysDelivered: true,
    record: randomBytes(190),
    keyDigest: randomBytes(16),
    ...change,
  }
}

export function newPeer(change: Partial<Peer> = {}): Peer {
  return {
    peerId: randomBytes(16),
    kind: 'ns',
    id: '000013',
    nsId: undefined,
    protocol: '1.0',
    dialect: 'standard-1.0',
    asyncUrl: undefined,
    kekOnly: false,
    disabled: false,
    certificates: [newCertificate()],
    authority: undefined,
    tokens: [],
    createdAt: 1_700_000_000_123,
    ...change,
  }
}

export function newCertificate(change: Partial<PeerCertificate> = {}): PeerCertificate {
  return {
    fingerprint: randomBytes(32).toString('hex'),
    subject: 'CN=ns.example',
    notBefore: 1_700_000_000_000,
    notAfter: 1_800_000_000_000,
    addedAt: 1_700_000_000_123,
    ...change,
  }
}

export function newToken(change: Partial<PeerToken> = {}): PeerToken {
  return {
    digest: randomBytes(32).toString('hex'),
    header: 'authorization',
    addedAt: 1_700_000_000_123,
    ...change,
  }
}

export function newAuthority(change: Partial<PeerAuthority> = {}): PeerAuthority {
  const pem = '-----BEGIN CERTIFICATE-----\n'
  return { fingerprint: randomBytes(32).toString('hex'), name: 'ns.example', pem, ...change }
}

export function newRoute(change: Partial<Route> = {}): Route {
  return {
    routeId: randomBytes(16),
    prefix: { joinEui: JOIN_EUI, bits: 64 },
    url: 'https://js.partner.example/bi',
    protocol: '1.1',
    certificatePem: 'certificate',
    authorityPem: 'authority',
    createdAt: 1_700_000_000_321,
    ...change,
  }
}

export function newKek(change: Partial<Kek> = {}): Kek {
  return {
    kekId: randomBytes(16),
    kind: 'as',
    recipient: 'as.example',
    label: 'kek-1',
    kekVersion: 1,
    size: 32,
    record: randomBytes(150),
    createdAt: 1_700_000_000_456,
    ...change,
  }
}

export const SIGNER = Buffer.alloc(16, 9)

export function newOrder(change: Partial<NewOrder> = {}): NewOrder {
  return {
    signer: SIGNER,
    sequence: 1,
    text: Buffer.from('{"format":"mortise-order-1"}'),
    signatures: [{ signer: SIGNER, signature: Buffer.alloc(64, 3) }],
    envelope: undefined,
    certificates: [],
    ...change,
  }
}

/** Submits an order with the signer's next sequence number. */
export function submit({ administration }: Storage, change: Partial<NewOrder> = {}): Promise<StoredOrder> {
  return administration.submitOrder(newOrder({ sequence: administration.highestSequence(SIGNER) + 1, ...change }))
}

/** Submits an order and adopts it with these changes. */
export async function adopt(storage: Storage, ...changes: AdoptedChange[]): Promise<void> {
  const { orderId } = await submit(storage)
  await storage.administration.adoptOrder(orderId, { changes, receipt: newReceipt(), epoch: orderId })
}

/** The one live key set under these EUIs. */
export function keySetOf({ joins }: Storage, devEui: DevEui = DEV_EUI, joinEui: JoinEui = JOIN_EUI): JoinKeySet {
  const [keySet, ...others] = joins.findKeySets(joinEui, devEui)
  if (keySet === undefined || others.length > 0) throw new Error(`${others.length + 1} key sets`)
  return keySet
}

/** The join that follows on what the key set has now. */
export function nextJoin(keySet: JoinKeySet, change: Partial<JoinCommit> = {}): JoinCommit {
  const previous = keySet.state
  const lastJoinNonce = previous?.lastJoinNonce ?? 0
  const devNonce = lastJoinNonce & 0xffff
  return {
    keySet: keySet.keySet,
    previous,
    // As of a counter (join/dev-nonce-forms.ts).
    devNonces: Buffer.from([1, devNonce >> 8, devNonce & 0xff]),
    nextRjCount1: keySet.state?.nextRjCount1 ?? 0,
    last: {
      requestDigest: randomBytes(16),
      devNonce,
      joinNonce: lastJoinNonce + 1,
      sessionKeyId: randomBytes(8),
      nsKekId: randomBytes(16),
      asKekId: undefined,
      netId: parseNetId('000013'),
      devAddr: parseDevAddr('26011bda'),
      joinedAt: 1_700_000_000_789,
    },
    sessionRecord: randomBytes(105),
    receipt: newReceipt(),
    ...change,
  }
}

/** Joins once, from what is stored now. */
export async function joinOnce(storage: Storage, devEui = DEV_EUI): Promise<JoinCommit> {
  const join = nextJoin(keySetOf(storage, devEui))
  const [result] = await storage.joins.commit([{ join }])
  if (result !== 'committed') throw new Error('the join was lost')
  return join
}
