import { describe } from 'vitest'
import { agreements } from './agreements.ts'
import { commitBatches } from './commit-batches.ts'
import { deviceChanges, devicePages } from './devices.ts'
import { joinCommits, joinReading } from './joins.ts'
import { kekChanges } from './keks.ts'
import { orders } from './orders.ts'
import { peerChanges } from './peers.ts'
import { refusedAdoptions } from './refused-adoptions.ts'
import { returningKeys } from './returning-keys.ts'
import { routes } from './routes.ts'
import { singleValues } from './single-values.ts'
import type { StorageUnderTest } from './subject.ts'

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
    kekChanges(make)
    peerChanges(make)
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
