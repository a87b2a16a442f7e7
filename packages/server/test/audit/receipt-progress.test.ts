import { encodeReceipt, type ReceiptAcknowledgement } from '@mortise/hsm'
import { describe, expect, test } from 'vitest'
import { ReceiptProgress } from '../../src/audit/index.ts'

function receipt(sequence: number, worker = 1): Buffer {
  return encodeReceipt({
    hsmId: Buffer.alloc(8),
    bootEpoch: 5,
    worker,
    sequence,
    timeMs: 0,
    operation: 'answerJoin',
    result: 0,
    deviceHash: Buffer.alloc(16),
    recordDigest: Buffer.alloc(16),
    appSKey: 'none',
    kekIds: [],
    previous: Buffer.alloc(32),
  })
}

function progressOver(receipts: readonly Buffer[]): ReceiptAcknowledgement[] {
  const acknowledged: ReceiptAcknowledgement[] = []
  const progress = new ReceiptProgress((acknowledgement) => acknowledged.push(acknowledgement))
  for (const one of receipts) progress.committed(one)
  progress.close()
  return acknowledged
}

describe('receipts are acknowledged', () => {
  test('up to the last of an unbroken run', () => {
    expect(progressOver([receipt(1), receipt(2), receipt(3)])).toEqual([{ bootEpoch: 5, worker: 1, sequence: 3 }])
  })

  test('only up to a gap: what lies before it must not be forgotten by the worker', () => {
    expect(progressOver([receipt(1), receipt(3), receipt(4)])).toEqual([{ bootEpoch: 5, worker: 1, sequence: 1 }])
    expect(progressOver([receipt(1), receipt(3), receipt(4), receipt(2)])).toEqual([
      { bootEpoch: 5, worker: 1, sequence: 4 },
    ])
  })

  test('from the first that a restarted server sees, chain by chain', () => {
    expect(progressOver([receipt(90), receipt(91), receipt(7, 2)])).toEqual([
      { bootEpoch: 5, worker: 1, sequence: 91 },
      { bootEpoch: 5, worker: 2, sequence: 7 },
    ])
  })
})
