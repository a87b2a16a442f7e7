/**
 * A process that works on an SQLite session store until it is killed or done, for session-store-processes.test.ts:
 * `node store-process.ts FILE allocate` prints downlink counters for ever; `FILE accept SESSION N` offers the uplinks 0
 * to N-1 and prints those that were accepted.
 */
import { writeSync } from 'node:fs'
import { type DownlinkCounterId, type SessionId, SqliteSessionStore } from '../../src/index.ts'

const [path = '', work, session = '', count = ''] = process.argv.slice(2)
const store = new SqliteSessionStore(path)
/** At once and not through a stream: what is printed was used, and what was not printed was not. */
const print = (fCnt: number | string): void => void writeSync(1, `${fCnt}\n`)
print('ready')
if (work === 'allocate') {
  for (;;) print(await store.allocateFCntDown('00112233445566778899aabbccddeeff' as DownlinkCounterId, 0))
}
for (let fCnt = 0; fCnt < Number(count); fCnt++) {
  if ((await store.acceptUplink(session as SessionId, fCnt, Date.now())) === 'accepted') print(fCnt)
}
