import { expect, test } from 'vitest'
import { adopt, newKek } from '../fixtures.ts'
import type { StorageUnderTest } from './subject.ts'

/** KEKs are added, listed and removed. */
export function kekChanges(make: () => StorageUnderTest): void {
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
}
