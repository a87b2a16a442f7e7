import { openPkcs11Token } from '../../src/pkcs11/token.ts'
import { joinMaterial, makeHsm } from './hsm.ts'
import { join10, join11 } from './join-sequence.ts'
import { createSoftHsm, pin } from './softhsm.ts'

/** Joins a second of the token calls alone, in one process: `node packages/hsm/test/pkcs11/measure-joins.ts [rounds]`. */
const ROUNDS = Number(process.argv[2] ?? 5)
const JOINS = 4000

const softHsm = createSoftHsm()
try {
  const hsm = makeHsm(softHsm, 'measure')
  using token = openPkcs11Token(hsm.created.settings, pin())
  const material = joinMaterial(token, hsm)
  const rates = { '1.0.x': [] as number[], '1.1': [] as number[] }
  for (let round = 0; round < ROUNDS; round++) {
    rates['1.0.x'].push(
      joinsPerSecond(() => {
        join10(token, material)
      }),
    )
    rates['1.1'].push(
      joinsPerSecond(() => {
        join11(token, material)
      }),
    )
  }
  for (const [version, values] of Object.entries(rates)) {
    const sorted = values.toSorted((a, b) => a - b)
    console.log(`${version}: median ${sorted[sorted.length >> 1]} joins/s (${sorted[0]} to ${sorted.at(-1)})`)
  }
  const before = process.memoryUsage.rss()
  for (let join = 0; join < 5 * JOINS; join++) join10(token, material)
  const perJoin = Math.round((process.memoryUsage.rss() - before) / (5 * JOINS))
  console.log(`1.0.x: ${perJoin} bytes of memory kept by each join (3 objects)`)
} finally {
  softHsm.remove()
}

function joinsPerSecond(join: () => void): number {
  for (let i = 0; i < 200; i++) join()
  const start = performance.now()
  for (let i = 0; i < JOINS; i++) join()
  return Math.round(JOINS / ((performance.now() - start) / 1000))
}
