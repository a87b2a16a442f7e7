import { randomBytes } from 'node:crypto'
import { rmSync, statSync } from 'node:fs'
import { DatabaseSync } from 'node:sqlite'
import { encodeReceipt } from '@mortise/hsm'
import { parseDevAddr, parseDevEui, parseJoinEui, parseNetId } from '@mortise/lorawan'
import { createDatabase, openDatabase, type AdoptedChange } from '../../src/storage/index.ts'
const N = Number(process.argv[2] ?? 100000),
  C = Number(process.argv[3] ?? 64),
  SECS = Number(process.argv[4] ?? 8)
const path = '/tmp/mortise-bench/db'
for (const s of ['', '-wal', '-shm']) rmSync(path + s, { force: true })
createDatabase(path)
let st = openDatabase(path)
let seq = 0
const receipt = () =>
  encodeReceipt({
    hsmId: Buffer.alloc(8),
    bootEpoch: 1,
    worker: 0,
    sequence: ++seq,
    timeMs: Date.now(),
    operation: 'answerJoin',
    result: 0,
    deviceHash: randomBytes(16),
    recordDigest: randomBytes(16),
    kekIds: [randomBytes(16), randomBytes(16)],
    previous: randomBytes(32),
  })
const joinEui = parseJoinEui('70b3d57ed0000000')
const sequential = process.env.SEQ === '1'
const eui = (i: number) =>
  parseDevEui(
    sequential ? (0x70b3d5000000n * 65536n + BigInt(i)).toString(16).padStart(16, '0') : randomBytes(8).toString('hex'),
  )
const euis: ReturnType<typeof eui>[] = []
let t = performance.now()
let osq = 0
const t0 = statSync(path).size
for (let i = 0; i < N; i += 500) {
  const changes: AdoptedChange[] = []
  for (let k = i; k < Math.min(N, i + 500); k++) {
    const e = eui(k)
    euis.push(e)
    changes.push({
      kind: 'device-added',
      deviceId: randomBytes(16),
      devEui: e,
      joinEui,
      generation: 1,
      keysDelivered: true,
      record: randomBytes(190),
      keyDigest: randomBytes(16),
    })
  }
  const o = await st.administration.submitOrder({
    signer: Buffer.alloc(16),
    sequence: ++osq,
    text: Buffer.alloc(10),
    signatures: [],
    envelope: undefined,
    certificates: [],
  })
  await st.administration.adoptOrder(o.orderId, { changes, receipt: receipt(), epoch: osq })
}
console.log('add', N, 'devices', (performance.now() - t).toFixed(0), 'ms')
st[Symbol.dispose]()
console.log('bytes per device', ((statSync(path).size - t0) / N).toFixed(1))
{
  const d = new DatabaseSync(path)
  try {
    for (const r of d.prepare('SELECT name, sum(pgsize) s, sum(payload) p FROM dbstat GROUP BY name').all())
      if (Number(r['s']) > N * 2) console.log(r['name'], (Number(r['s']) / N).toFixed(1))
  } catch (e) {
    console.log(String(e))
  }
  d.close()
}
t = performance.now()
st = openDatabase(path)
console.log('open', (performance.now() - t).toFixed(0), 'ms')
t = performance.now()
console.log('count', st.administration.countDevices(), (performance.now() - t).toFixed(1), 'ms')
t = performance.now()
st.administration.listDevices({ after: undefined, limit: 100 })
console.log('page of 100', (performance.now() - t).toFixed(1), 'ms')
const lat: number[] = []
let done = 0,
  lost = 0
const end = performance.now() + SECS * 1000
const run = async () => {
  while (performance.now() < end) {
    const e = euis[Math.floor(Math.random() * N)]!
    const a = performance.now()
    const ks = st.joins.findKeySets(joinEui, e)[0]!
    const n = ks.state?.lastJoinNonce ?? 0
    const [r] = await st.joins.commit([
      {
        join: {
          keySet: ks.keySet,
          expectedJoinNonce: n,
          devNonces: Buffer.alloc(8),
          last: {
            requestDigest: randomBytes(16),
            devNonce: n & 0xffff,
            joinNonce: n + 1,
            sessionKeyId: randomBytes(8),
            nsKekId: randomBytes(16),
            asKekId: randomBytes(16),
            netId: parseNetId('000013'),
            devAddr: parseDevAddr('01020304'),
            joinedAt: Date.now(),
          },
          sessionRecord: randomBytes(105),
          receipt: receipt(),
        },
      },
    ])
    lat.push(performance.now() - a)
    if (r === 'lost') lost++
    done++
  }
}
const s0 = performance.now()
await Promise.all(Array.from({ length: C }, run))
const el = (performance.now() - s0) / 1000
lat.sort((a, b) => a - b)
const p = (q: number) => lat[Math.floor(lat.length * q)]!.toFixed(2)
console.log(
  `C=${C} commits/s ${(done / el).toFixed(0)} p50 ${p(0.5)} p99 ${p(0.99)} p99.9 ${p(0.999)} max ${p(0.999999)} lost ${lost} wal ${(statSync(path + '-wal').size / 1e6).toFixed(1)} MB`,
)
st[Symbol.dispose]()
console.log('db MB', (statSync(path).size / 1e6).toFixed(1), 'joins', done)
