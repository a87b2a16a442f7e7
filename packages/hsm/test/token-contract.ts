import { afterAll, beforeAll, describe, it } from 'vitest'
import { damageTests } from './token-contract/damage.ts'
import type { TokenFixture } from './token-contract/fixture.ts'
import { importTests } from './token-contract/import.ts'
import { joinTests } from './token-contract/joins.ts'
import { oracleTests } from './token-contract/oracle.ts'
import { primitiveTests } from './token-contract/primitives.ts'
import { recoveryTests } from './token-contract/recovery.ts'
import { reopeningTest } from './token-contract/reopening.ts'
import { useTests } from './token-contract/uses.ts'

/** What every back end must do, with the answers worked out independently of it. */
export function tokenContract(name: string, make: () => Promise<TokenFixture>): void {
  describe('the oracle of the token contract', oracleTests)
  describe(`token contract: ${name}`, () => {
    let fixture: TokenFixture
    beforeAll(async () => {
      fixture = await make()
    })
    afterAll(() => fixture.dispose())

    describe('joins', () => {
      joinTests(() => fixture)
    })
    describe('primitives', () => {
      primitiveTests(() => fixture)
    })
    describe('keys that come in', () => {
      importTests(() => fixture)
    })
    describe('damage', () => {
      damageTests(() => fixture)
    })
    describe('uses', () => {
      useTests(() => fixture)
    })
    describe('check values and recovery', () => {
      recoveryTests(() => fixture)
    })

    it('keeps everything over a reopening, and does nothing once disposed of', async () => {
      const own = await make()
      try {
        await reopeningTest(own)
      } finally {
        await own.dispose()
      }
    })
  })
}
