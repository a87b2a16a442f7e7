import { createDecipheriv, createHash, generateKeyPairSync, sign } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import type { JoinAns } from '@mortise/backend-interfaces'
import {
  encodeDeviceRecord,
  encodeReceipt,
  deviceHash,
  type Order,
  ORDER_FORMAT,
  orderText,
  type Receipt,
  type ReceiptHead,
  receiptHash,
  receiptHeadText,
} from '@mortise/hsm'
import {
  computeMic,
  encodeJoinAcceptPayload,
  eui64ToBytes,
  hexToBytes,
  type NetId,
  parseDevAddr,
  parseDevEui,
  parseJoinEui,
  parseNetId,
  sessionKeyBlock10,
} from '@mortise/lorawan'
import { createBlockCipher } from '@mortise/lorawan/node-aes'
import type { DatabaseContent } from './crash/database.ts'
import { checkOrders, checkRefusedOrders, checkStates } from './crash/final-checks.ts'
import { FleetDevice } from './crash/fleet.ts'
import { newJoinRequest } from './crash/join-request.ts'
import { Load } from './crash/load.ts'
import { Model } from './crash/model.ts'
import { comparableText, openJoinAns } from './crash/open-answer.ts'
import { Random } from './crash/random.ts'
import { type ChainEvidence, checkChains } from './crash/receipt-chains.ts'
import type { ViolationKind } from './crash/violations.ts'

/** Planted violations for what the harness reads from answers and from the database, each beside what must pass. */

test('answers are compared byte by byte but for the number of their TransactionID', () => {
  const text = (body: string): string => comparableText(Buffer.from(body))
  expect(text('{"TransactionID":7,"PHYPayload":"20"}')).toBe(text('{"TransactionID":4711,"PHYPayload":"20"}'))
  expect(text('{"TransactionID":7,"PHYPayload":"20"}')).not.toBe(text('{"TransactionID":7,"PHYPayload":"21"}'))
  expect(text('{"TransactionID":7,"PHYPayload":"20"}')).not.toBe(text('{"PHYPayload":"20","TransactionID":7}'))
})

describe('the check of receipt chains reports', () => {
  const hsmId = Buffer.alloc(8, 1)
  const bootEpoch = 1000
  const { privateKey, publicKey } = generateKeyPairSync('ed25519')
  const receiptPublicKey = publicKey.export({ format: 'der', type: 'spki' })

  function chain(count: number): Buffer[] {
    const receipts: Buffer[] = []
    for (let sequence = 1; sequence <= count; sequence++) receipts.push(receiptAfter(receipts.at(-1), sequence))
    return receipts
  }

  function receiptAfter(before: Buffer | undefined, sequence: number, timeMs = 2000): Buffer {
    return encodeReceipt({
      ...{ hsmId, bootEpoch, worker: 1, sequence, timeMs, operation: 'answerJoin', result: 0, appSKey: 'none' },
      ...{ deviceHash: Buffer.alloc(16), recordDigest: Buffer.alloc(16), kekIds: [] },
      previous: before === undefined ? Buffer.alloc(32) : receiptHash(before),
    })
  }

  function head(receipts: readonly Buffer[], sequence: number, closing = true): ReceiptHead {
    const hash = receiptHash(receipts[sequence - 1] ?? Buffer.alloc(0))
    const unsigned = { hsmId, bootEpoch, worker: 1, sequence, hash, closing }
    return { ...unsigned, signature: sign(null, receiptHeadText(unsigned), privateKey) }
  }

  function kindsOf(evidence: Partial<ChainEvidence>): ViolationKind[] {
    const kinds: ViolationKind[] = []
    const all = { receipts: [], heads: [], hsmId: hsmId.toString('hex'), receiptPublicKey, hsmCrashes: [], ...evidence }
    checkChains(all, (kind) => kinds.push(kind))
    return kinds
  }

  const whole = chain(5)
  const closed = [head(whole, 3, false), head(whole, 5)]
  const withoutThird = whole.filter((_, index) => index !== 2)
  const fork = receiptAfter(whole[3], 5, 3000)
  const unlinked = [...whole.slice(0, 3), receiptAfter(fork, 4), receiptAfter(receiptAfter(fork, 4), 5)]

  test('nothing wrong in a whole chain, and in one that a crash of the HSM process cut off', () => {
    expect(kindsOf({ receipts: whole, heads: closed })).toEqual([])
    expect(kindsOf({ receipts: whole.slice(0, 4), heads: [head(whole, 3, false)], hsmCrashes: [1500] })).toEqual([])
  })

  test.each<[string, ViolationKind, Partial<ChainEvidence>]>([
    ['a receipt that is missing', 'receipt_gap', { receipts: withoutThird, heads: closed }],
    ['the first one missing', 'receipt_gap', { receipts: whole.slice(1), heads: closed }],
    ['the last one missing behind a head', 'receipt_gap', { receipts: whole.slice(0, 4), heads: closed }],
    ['two receipts of one number', 'receipt_forked', { receipts: [...whole, fork], heads: closed }],
    ['a hash that is not that of the receipt before', 'receipt_link_broken', { receipts: unlinked, heads: closed }],
    [
      'a head over another receipt',
      'receipt_head_wrong',
      { receipts: whole, heads: [head([...whole.slice(0, 4), fork], 5)] },
    ],
    [
      'a head that nobody signed',
      'receipt_head_wrong',
      { receipts: whole, heads: [{ ...head(whole, 5), signature: Buffer.alloc(64) }] },
    ],
    ['a receipt behind the closing head', 'receipt_head_wrong', { receipts: whole, heads: [head(whole, 4)] }],
    [
      'a chain without end whose HSM did not die',
      'receipt_chain_open',
      { receipts: whole, heads: [head(whole, 5, false)] },
    ],
    ['… or died in an earlier boot', 'receipt_chain_open', { receipts: whole, hsmCrashes: [bootEpoch - 1] }],
  ])('%s', (_name, kind, evidence) => {
    expect(kindsOf(evidence)).toContain(kind)
  })
})

const NET_ID = parseNetId('000013')
const IDENTITY = {
  devEui: parseDevEui('0102030405060708'),
  joinEui: parseJoinEui('70b3d57ed0000b02'),
  macVersion: '1.0.3',
} as const

describe('the device', () => {
  const appKey = Buffer.alloc(16, 7)
  const rootKey = createBlockCipher(appKey)

  /** A join server of LoRaWAN 1.0 in a few lines, which may get its keys wrong. */
  async function joined(
    wrong: 'nothing' | 'the AppSKey' | 'the NwkSKey' | 'the DevAddr' | 'the MIC',
  ): Promise<unknown> {
    const device = new FleetDevice(IDENTITY, { appKey }, new Model().addKeySet(IDENTITY.devEui, 'random'))
    const request = await newJoinRequest(device, [NET_ID], new Random(1))
    const { rxDelay, dlSettings, cfList, devNonce } = request
    const devAddr = wrong === 'the DevAddr' ? parseDevAddr('01020304') : request.devAddr
    const accept = { joinNonce: 1, netId: NET_ID, devAddr, dlSettings, rxDelay, ...(cfList && { cfList }) }
    const payload = encodeJoinAcceptPayload(accept)
    const mic = computeMic(rootKey, payload)
    if (wrong === 'the MIC') mic[0] = (mic[0] ?? 0) ^ 1
    const cipher = createDecipheriv('aes-128-ecb', appKey, null).setAutoPadding(false)
    const phyPayload = Buffer.concat([payload.subarray(0, 1), cipher.update(Buffer.concat([payload.subarray(1), mic]))])
    const key = (type: 1 | 2, spoilt: boolean) => ({
      aesKey: rootKey.encryptBlock(sessionKeyBlock10(type, spoilt ? 2 : 1, NET_ID, devNonce)),
    })
    const answer: Extract<JoinAns, { resultCode: 'Success' }> = {
      ...{ protocolVersion: '1.1', transactionId: 1, resultCode: 'Success', lifetime: 0, phyPayload },
      networkKeys: { nwkSKey: key(1, wrong === 'the NwkSKey') },
      appSKey: key(2, wrong === 'the AppSKey'),
      sessionKeyId: hexToBytes('0a'),
    }
    return openJoinAns(device, request, { kind: 'success', answer, comparable: '' }, new Map())
  }

  test('takes a right answer', async () => {
    await expect(joined('nothing')).resolves.toMatchObject({ joinNonce: 1, sessionKeyId: '0a' })
  })

  test.each(['the AppSKey', 'the NwkSKey', 'the DevAddr', 'the MIC'] as const)('disagrees about %s', async (wrong) => {
    await expect(joined(wrong)).rejects.toMatchObject({ name: 'DisagreementError' })
  })
})

describe('the check of the database reports', () => {
  const receiptSalt = Buffer.alloc(16, 3)

  function record(networks: readonly NetId[]): Buffer {
    const blobs = { rootUse: Buffer.alloc(24), escrow: Buffer.alloc(24) }
    const versions = { recordVersion: 1, keyGeneration: 1 }
    const policy = { applicationServers: [], networkIsApplicationServer: false, networks }
    const device = { deviceId: Buffer.alloc(16), ...IDENTITY, ...versions, owner: Buffer.alloc(16), ...policy }
    return encodeDeviceRecord({ ...device, receiptSalt, appKey: blobs }, Buffer.alloc(8), () => Buffer.alloc(16))
  }

  function receipt(parts: Pick<Receipt, 'operation' | 'deviceHash' | 'recordDigest'>): Buffer {
    const place = { hsmId: Buffer.alloc(8), bootEpoch: 1, worker: 1, sequence: 1, timeMs: 1, result: 0 }
    return encodeReceipt({ ...place, appSKey: 'none', kekIds: [], previous: Buffer.alloc(32), ...parts })
  }

  function order(networks: readonly NetId[]): Buffer {
    const { devEui, joinEui } = IDENTITY
    const change = { action: 'device.set', device: '00'.repeat(16), devEui, joinEui, replaces: 1, networks } as const
    const signer = { hsm: '00'.repeat(8), signer: '00'.repeat(16), sequence: 1, issuedAt: '2026-01-01T00:00:00.000Z' }
    return orderText({ format: ORDER_FORMAT, ...signer, changes: [change] } satisfies Order)
  }

  const text = order([NET_ID])
  const joinReceipt = receipt({
    operation: 'answerJoin',
    deviceHash: deviceHash(receiptSalt, eui64ToBytes(IDENTITY.devEui)),
    recordDigest: Buffer.alloc(16),
  })
  const orderReceipt = receipt({
    operation: 'applyOrder',
    deviceHash: Buffer.alloc(16),
    recordDigest: createHash('sha256').update(text).digest().subarray(0, 16),
  })
  const keySet = {
    devEui: IDENTITY.devEui,
    record: record([NET_ID]),
    lastJoinNonce: 1,
    sessionJoinNonces: [1],
  }
  const adopted = { orderId: 1, state: 'adopted', code: undefined, text }
  const right: DatabaseContent = {
    ...{ integrity: 'ok', keySets: [keySet], receipts: [joinReceipt, orderReceipt], heads: [], orders: [adopted] },
  }

  /** One join was answered and one order was acknowledged. */
  function kindsOf(content: DatabaseContent): ViolationKind[] {
    const model = new Model()
    const known = model.addKeySet(IDENTITY.devEui, 'random')
    const session = { joinNonce: 1, sessionKeyId: '0a', appSKey: '0b', comparable: '' }
    model.succeeded(known, known.sending('a', 1), session)
    checkStates(content, model.keySets, 10, model.report)
    checkOrders(content, [1], model.report)
    return model.violations.map(({ kind }) => kind)
  }

  test('nothing where all is there', () => {
    expect(kindsOf(right)).toEqual([])
  })

  test.each<[string, ViolationKind, Partial<DatabaseContent>]>([
    ['an older JoinNonce than the last answer', 'state_differs', { keySets: [{ ...keySet, lastJoinNonce: 0 }] }],
    ['a newer JoinNonce than the last answer', 'state_differs', { keySets: [{ ...keySet, lastJoinNonce: 2 }] }],
    ['a session that is not stored', 'session_lost', { keySets: [{ ...keySet, sessionJoinNonces: [] }] }],
    ['an answer without receipt', 'receipt_missing', { receipts: [orderReceipt] }],
    ['an order without receipt', 'receipt_missing', { receipts: [joinReceipt] }],
    ['an acknowledged order that is gone', 'order_lost', { orders: [] }],
    ['an order that still waits', 'order_lost', { orders: [{ ...adopted, state: 'waiting' }] }],
    [
      'an order refused for no reason',
      'order_lost',
      { orders: [{ ...adopted, state: 'refused', code: 'device_unknown' }] },
    ],
    ['an adopted order without effect', 'order_lost', { keySets: [{ ...keySet, record: record([]) }] }],
  ])('%s', (_name, kind, wrong) => {
    expect(kindsOf({ ...right, ...wrong })).toContain(kind)
  })

  test('no refusal of an order that came too late', () => {
    const late = { ...adopted, orderId: 2, state: 'refused', code: 'order_version_mismatch' }
    expect(kindsOf({ ...right, orders: [adopted, late] })).toEqual([])
  })
})

describe('orders that were refused at once', () => {
  test.each<[string, ViolationKind[]]>([
    ['order_version_mismatch', []],
    ['internal', ['order_refused']],
    ['device_unknown', ['order_refused']],
  ])('%s: %j', (code, kinds) => {
    const model = new Model()
    checkRefusedOrders(new Map([[code, 3]]), model.report)
    expect(model.violations.map(({ kind }) => kind)).toEqual(kinds)
  })
})

describe('asking again for what was acknowledged reports', () => {
  /** One device with one join that was answered; a server that decides nothing about what is asked so many times more. */
  async function verified(undecided: { joins: number; appSKeys: number }): Promise<ViolationKind[]> {
    const model = new Model()
    const keySet = model.addKeySet(IDENTITY.devEui, 'random')
    const device = new FleetDevice(IDENTITY, { appKey: Buffer.alloc(16, 7) }, keySet)
    const request = await newJoinRequest(device, [NET_ID], new Random(1))
    const session = { joinNonce: 1, sessionKeyId: '0a', appSKey: '0b', comparable: '' }
    model.succeeded(keySet, keySet.sending(request.digest, request.devNonce), session)
    const left = { ...undecided }
    const ask = {
      model,
      join: () => Promise.resolve(left.joins-- > 0 ? ('undecided' as const) : ('success' as const)),
      appSKey: () => Promise.resolve(left.appSKeys-- <= 0),
    }
    const load = new Load({ fleet: [device], networks: [NET_ID], ask, random: new Random(2), decidedWithinMs: 200 })
    await load.verify([device], 1)
    return model.violations.map(({ kind }) => kind)
  }

  test.each<[string, { joins: number; appSKeys: number }, ViolationKind[]]>([
    ['nothing when it is answered at last', { joins: 2, appSKeys: 2 }, []],
    ['a join that is never answered again', { joins: Infinity, appSKeys: 0 }, ['never_answered_again']],
    ['an AppSKey that is refused for ever', { joins: 0, appSKeys: Infinity }, ['never_answered_again']],
  ])('%s', async (_name, undecided, kinds) => {
    expect(await verified(undecided)).toEqual(kinds)
  })
})
