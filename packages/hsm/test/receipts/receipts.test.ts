import { generateKeyPairSync, randomBytes, sign } from 'node:crypto'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { FRAME } from '../../src/contract/frames.ts'
import { ReceiptChain } from '../../src/receipts/chain.ts'
import { type ChainEnd, decodeChainEnds, encodeChainEnds } from '../../src/receipts/chain-end.ts'
import { decodeReceiptBundle, type ReceiptBundle, verifyReceiptHead } from '../../src/receipts/head.ts'
import { decodeReceipt, deviceHash, encodeReceipt, type Receipt, receiptHash } from '../../src/receipts/receipt.ts'
import { ReceiptPipeReader } from '../../src/receipts/receipt-pipe.ts'
import { MAX_UNACKNOWLEDGED_RECEIPTS, UnacknowledgedReceipts } from '../../src/receipts/unacknowledged.ts'
import { ReceiptCourier } from '../../src/worker/receipt-courier.ts'
import { codeOf, flipBit } from '../support/refusal.ts'

const { privateKey, publicKey } = generateKeyPairSync('ed25519')
const SPKI = publicKey.export({ format: 'der', type: 'spki' })
const signature = (message: Buffer): Buffer => sign(null, message, privateKey)
const NAME = { hsmId: Buffer.from('0123456789abcdef', 'hex'), bootEpoch: 1_700_000_000_000, worker: 3 }
const ENTRY = {
  operation: 'answerJoin',
  subject: Buffer.from('a device record'),
  device: { receiptSalt: Buffer.alloc(16, 1), devEui: Buffer.alloc(8, 2) },
  kekIds: [Buffer.alloc(16, 3)],
  appSKey: 'wrapped',
} as const

function chainOf(count: number): { chain: ReceiptChain; receipts: Buffer[] } {
  const receipts: Buffer[] = []
  const chain = new ReceiptChain(NAME, signature, (receipt) => receipts.push(receipt))
  for (let i = 0; i < count; i++) chain.append(ENTRY)
  return { chain, receipts }
}

/** What an auditor does with a chain and its head. */
function isWhole(receipts: readonly Buffer[], end: { sequence: number; hash: Buffer }): boolean {
  let previous: Buffer = Buffer.alloc(32)
  for (const [index, receipt] of receipts.entries()) {
    const decoded = decodeReceipt(receipt)
    if (decoded.sequence !== index + 1 || !decoded.previous.equals(previous)) return false
    previous = receiptHash(receipt)
  }
  return receipts.length === end.sequence && previous.equals(end.hash)
}

describe('a receipt', () => {
  const buffer = (size: number) =>
    fc.uint8Array({ minLength: size, maxLength: size }).map((bytes) => Buffer.from(bytes))
  const uint48 = fc.integer({ min: 0, max: 2 ** 48 - 1 })
  const receipt: fc.Arbitrary<Receipt> = fc.record({
    hsmId: buffer(8),
    bootEpoch: uint48,
    worker: fc.integer({ min: 0, max: 0xffffffff }),
    sequence: uint48,
    timeMs: uint48,
    operation: fc.constantFrom('answerJoin', 'releaseAppSKey', 'applyOrder'),
    result: fc.integer({ min: 0, max: 255 }),
    deviceHash: buffer(16),
    recordDigest: buffer(16),
    kekIds: fc.array(buffer(16), { maxLength: 8 }),
    appSKey: fc.constantFrom('none', 'wrapped', 'networkWrapped', 'networkClear'),
    previous: buffer(32),
  })

  test('comes back as it went in; noise is refused by name', () => {
    fc.assert(
      fc.property(receipt, (value) => {
        expect(decodeReceipt(encodeReceipt(value))).toEqual(value)
      }),
    )
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (noise) => {
        expect(codeOf(() => decodeReceipt(Buffer.from(noise)))).toBe('frame_malformed')
      }),
    )
  })

  test('tells a device only to who knows its salt', () => {
    const [receiptBytes] = chainOf(1).receipts
    const { receiptSalt, devEui } = ENTRY.device
    expect(decodeReceipt(receiptBytes!).deviceHash).toEqual(deviceHash(receiptSalt, devEui))
    expect(deviceHash(Buffer.alloc(16), devEui)).not.toEqual(deviceHash(receiptSalt, devEui))
    expect(receiptBytes!.includes(devEui)).toBe(false)
  })
})

describe('a chain of receipts', () => {
  test('shows a receipt that is missing, changed, moved or added', () => {
    const { chain, receipts } = chainOf(5)
    const head = chain.head(false)
    expect(isWhole(receipts, head)).toBe(true)
    for (const index of receipts.keys()) {
      expect(isWhole(receipts.toSpliced(index, 1), head)).toBe(false)
      expect(isWhole(receipts.with(index, flipBit(receipts[index]!, 8 * 40)), head)).toBe(false)
    }
    expect(isWhole([...receipts].reverse(), head)).toBe(false)
    expect(isWhole([...receipts, chainOf(6).receipts[5]!], head)).toBe(false)
  })

  test('has heads that only the receipt key signs, over every member', () => {
    const { chain } = chainOf(2)
    const head = chain.head(false)
    expect(verifyReceiptHead(head, SPKI)).toBe(true)
    for (const changed of [
      { hsmId: randomBytes(8) },
      { bootEpoch: head.bootEpoch + 1 },
      { worker: head.worker + 1 },
      { sequence: 1 },
      { hash: randomBytes(32) },
      { closing: true },
      { signature: flipBit(head.signature, 9) },
    ])
      expect(verifyReceiptHead({ ...head, ...changed }, SPKI)).toBe(false)
  })

  test('ends with its closing head: no key is used under it afterwards', () => {
    const { chain } = chainOf(2)
    chain.append(ENTRY)
    const head = chain.head(true)
    expect(codeOf(() => chain.append(ENTRY))).toBe('busy')
    expect(chain.head(true)).toEqual(head)
  })
})

describe('receipts that nobody acknowledged', () => {
  test('are kept in order, and forgotten up to what is acknowledged, whatever a server claims', () => {
    fc.assert(
      fc.property(fc.nat(30), fc.array(fc.integer({ min: 0, max: 2 ** 48 - 1 }), { maxLength: 5 }), (count, claims) => {
        const { receipts } = chainOf(count)
        const kept = new UnacknowledgedReceipts()
        for (const receipt of receipts) kept.add(receipt)
        let highest = 0
        for (const claim of claims) {
          kept.acknowledge(claim)
          highest = Math.min(count, Math.max(highest, claim))
          expect(kept.receipts).toEqual(receipts.slice(highest))
        }
        expect(kept.end.sequence).toBe(count)
      }),
    )
  })

  test('are bounded', () => {
    const kept = new UnacknowledgedReceipts()
    const [receipt] = chainOf(1).receipts
    for (let i = 0; i < MAX_UNACKNOWLEDGED_RECEIPTS; i++) {
      expect(kept.full).toBe(false)
      kept.add(receipt!)
    }
    expect(kept.full).toBe(true)
  })

  test('cross the pipe whole, however it is cut', () => {
    const { receipts } = chainOf(20)
    const wire = Buffer.concat(
      receipts.map((receipt) => Buffer.concat([Buffer.of(1, receipt.length >> 8, receipt.length & 0xff), receipt])),
    )
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: wire.length }), { maxLength: 9 }), (cuts) => {
        const got: Buffer[] = []
        const reader = new ReceiptPipeReader(
          (receipt) => got.push(receipt),
          () => undefined,
        )
        const edges = [0, ...cuts.sort((a, b) => a - b), wire.length]
        for (const [index, end] of edges.slice(1).entries()) reader.push(wire.subarray(edges[index], end))
        expect(got).toEqual(receipts)
      }),
    )
  })

  test('lie in a file between two starts as they were', () => {
    const { chain, receipts } = chainOf(3)
    const { bootEpoch, worker, sequence, hash } = chain.head(true)
    const ends: ChainEnd[] = [
      { bootEpoch, worker, sequence, hash, receipts },
      { bootEpoch, worker: 9, sequence: 0, hash: Buffer.alloc(32), receipts: [] },
    ]
    const bytes = encodeChainEnds(ends)
    expect(decodeChainEnds(bytes)).toEqual(ends)
    for (let length = 0; length < bytes.length; length++)
      expect(codeOf(() => decodeChainEnds(bytes.subarray(0, length)))).toBe('frame_malformed')
  })
})

describe('the courier of receipts', () => {
  class Carrier {
    backlogged = false
    readonly bundles: ReceiptBundle[] = []
    push(type: number, payload: Buffer): void {
      expect(type).toBe(FRAME.receipts)
      expect(payload.length).toBeLessThan(4 * 1024 * 1024)
      this.bundles.push(decodeReceiptBundle(payload))
    }
    get receipts(): Buffer[] {
      return this.bundles.flatMap(({ receipts }) => receipts)
    }
  }

  function courierOf(count: number) {
    const closed: unknown[] = []
    const pipe = { receipt: () => undefined, acknowledged: () => undefined, flush: () => undefined }
    const port = { pipe, sign: signature, passOn: () => undefined, chainClosed: (chain: unknown) => closed.push(chain) }
    const courier = new ReceiptCourier(
      port as unknown as ConstructorParameters<typeof ReceiptCourier>[0],
      (keep) => new ReceiptChain(NAME, signature, keep),
    )
    for (let i = 0; i < count; i++) courier.chain.append(ENTRY)
    return { courier, closed }
  }

  test('hands a large backlog over in frames that fit', () => {
    const { courier } = courierOf(10_000)
    const carrier = new Carrier()
    courier.connected(carrier)
    expect(carrier.bundles.length).toBeGreaterThan(1)
    expect(carrier.receipts.length).toBe(10_000)
  })

  test('keeps the end of a dead worker’s chain until the closing head has left and all is acknowledged', () => {
    const { courier, closed } = courierOf(0)
    const { chain, receipts } = chainOf(4)
    const { bootEpoch, sequence, hash } = chain.head(false)
    const orphan = { bootEpoch, worker: 77, sequence, hash, receipts }
    courier.adopt(orphan)
    // These were acknowledged before the worker died: they say nothing of the closing head.
    courier.acknowledged({ bootEpoch, worker: 77, sequence: 2 })
    courier.acknowledged({ bootEpoch, worker: 77, sequence: 4 })
    expect(closed).toEqual([])
    const carrier = new Carrier()
    courier.connected(carrier)
    expect(carrier.bundles[0]?.heads[0]).toMatchObject({ worker: 77, sequence: 4, closing: true })
    expect(verifyReceiptHead(carrier.bundles[0]!.heads[0]!, SPKI)).toBe(true)
    courier.acknowledged({ bootEpoch, worker: 77, sequence: 4 })
    expect(closed).toEqual([{ bootEpoch, worker: 77, sequence: 4 }])
  })

  test('sends again what a server could not store, but not to one that does not read', () => {
    const { courier } = courierOf(3)
    const carrier = new Carrier()
    courier.connected(carrier)
    courier.resendStale()
    expect(carrier.receipts.length).toBe(3)
    courier.resendStale()
    expect(carrier.receipts.length).toBe(6)
    carrier.backlogged = true
    courier.resendStale()
    expect(carrier.receipts.length).toBe(6)
  })
})
