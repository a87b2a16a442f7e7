import { DeviceSessions, KekRing, MemorySessionStore, type UplinkOutcome } from '@mortise/application-server'
import type { UplinkOfNetwork } from '../src/network-event.ts'

/** The example of docs/application-server.md: an uplink of FCnt 7 on FPort 2 that says "open". */
export const EXAMPLE = {
  devEui: '70b3d57ed0061a01',
  devAddr: '26012e43',
  kekLabel: 'readings-1',
  kek: Buffer.from('000102030405060708090a0b0c0d0e0f', 'hex'),
  wrappedAppSKey: Buffer.from('1fa68b0a8112b447aef34bd8fb5a7b829d3e862371d2cfe5', 'hex'),
  fPort: 2,
  fCnt: 7,
  frmPayload: Buffer.from('c5458c30', 'hex'),
  clear: 'open',
} as const

export function ownersSessions(): DeviceSessions {
  const kekRing = new KekRing()
  kekRing.add(EXAMPLE.kekLabel, EXAMPLE.kek)
  return new DeviceSessions({ store: new MemorySessionStore(), kekRing })
}

/** What an owner reads from an event. */
export async function opened({ uplink }: UplinkOfNetwork): Promise<string> {
  const outcome: UplinkOutcome = await ownersSessions().uplink(uplink)
  if (outcome.kind === 'session_unknown') throw new Error(outcome.reason)
  return Buffer.from(outcome.reading.payload).toString()
}
