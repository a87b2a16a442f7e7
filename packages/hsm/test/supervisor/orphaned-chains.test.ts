import { generateKeyPairSync } from 'node:crypto'
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { createHsm } from '../../src/ceremony/create-hsm.ts'
import type { ChainEnd } from '../../src/receipts/chain-end.ts'
import { OrphanedChains } from '../../src/supervisor/orphaned-chains.ts'
import { SealedStore } from '../../src/supervisor/sealed-store.ts'

const RECEIPT = Buffer.alloc(150, 1)
const root = mkdtempSync(join(tmpdir(), 'mortise-orphans-'))
const directory = join(root, 'hsm')
const secret = Buffer.from('a passphrase')
createHsm({
  directory,
  backend: { kind: 'soft' },
  secret: Buffer.from(secret),
  operatorPublicKey: generateKeyPairSync('ed25519').publicKey.export({ format: 'der', type: 'spki' }),
  recoveryFile: join(root, 'recovery.json'),
  recoveryKeyFile: join(root, 'recovery-key'),
})

afterAll(() => {
  rmSync(root, { recursive: true })
})

function chain(worker: number, receipts: number): ChainEnd {
  const list = Array.from({ length: receipts }, () => RECEIPT)
  return { bootEpoch: 7, worker, sequence: receipts, hash: Buffer.alloc(32, worker), receipts: list }
}

describe('receipt chains whose worker is gone', () => {
  test('come back after an orderly stop', () => {
    const store = SealedStore.open(directory, Buffer.from(secret))
    const before = new OrphanedChains(() => undefined)
    before.add(chain(1, 3))
    before.keep(store)
    const after = new OrphanedChains(() => undefined)
    after.read(store)
    expect(after.list()).toEqual(before.list())
    expect(after.delivered({ bootEpoch: 7, worker: 1 })).toBe(true)
    after.keep(store)
    const empty = new OrphanedChains(() => undefined)
    empty.read(store)
    expect(empty.list()).toEqual([])
  })

  test('that nobody takes are bounded: the oldest receipts go, and the ends stay to show what is missing', () => {
    const lines: string[] = []
    const chains = new OrphanedChains((line) => lines.push(line))
    for (let worker = 1; worker <= 20; worker++) chains.add(chain(worker, 16_384))
    const kept = chains.list().map(({ receipts }) => receipts.length)
    expect(kept.reduce((sum, count) => sum + count, 0)).toBeLessThanOrEqual(131_072)
    expect(kept.at(0)).toBe(0)
    expect(kept.at(-1)).toBe(16_384)
    expect(chains.list().map(({ sequence }) => sequence)).toEqual(Array.from({ length: 20 }, () => 16_384))
    expect(lines).toHaveLength(12)
  })

  test('that cannot be read are put aside as evidence, and keep nothing from opening', () => {
    const store = SealedStore.open(directory, Buffer.from(secret))
    writeFileSync(join(directory, 'receipts'), 'damaged')
    const lines: string[] = []
    const chains = new OrphanedChains((line) => lines.push(line))
    chains.read(store)
    expect(chains.list()).toEqual([])
    expect(lines.join()).toContain('cannot be read')
    expect(readdirSync(directory).filter((name) => name.startsWith('receipts.unreadable-'))).toHaveLength(1)
    expect(readdirSync(directory)).not.toContain('receipts')
  })
})
