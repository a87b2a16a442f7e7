import { parseDevEui } from '@mortise/lorawan'
import { expect, test } from 'vitest'
import { adopt, joinOnce, keySetOf, newDevice, OTHER_JOIN_EUI } from '../fixtures.ts'
import type { StorageUnderTest } from './subject.ts'

/** A root key that comes back goes on with its nonces. */
export function returningKeys(make: () => StorageUnderTest): void {
  const keyDigest = Buffer.alloc(16, 0xaa)
  const rows = [
    { title: 'the same root key under the same EUIs goes on with its nonces', change: {}, nonce: 2 },
    { title: 'another root key starts afresh', change: { keyDigest: Buffer.alloc(16, 0xbb) }, nonce: undefined },
    {
      title: 'the same root key under another JoinEUI starts afresh',
      change: { joinEui: OTHER_JOIN_EUI },
      nonce: undefined,
    },
    {
      title: 'the same root key in another device starts afresh',
      change: { devEui: parseDevEui('0004a30b00000000') },
      nonce: undefined,
    },
  ]
  test.each(rows)('$title', async ({ change, nonce }) => {
    using under = make()
    const device = newDevice({ keyDigest })
    await adopt(under.storage, device)
    await joinOnce(under.storage)
    const last = await joinOnce(under.storage)
    await adopt(under.storage, { kind: 'device-removed', deviceId: device.deviceId, keyDigest })
    const back = newDevice({ keyDigest, ...change })
    await adopt(under.storage, back)
    const keySet = keySetOf(under.storage, back.devEui, back.joinEui)
    expect(keySet.state?.lastJoinNonce).toBe(nonce)
    if (nonce !== undefined)
      expect(keySet.state).toMatchObject({ lastJoinNonce: nonce, devNonces: last.devNonces, last: last.last })
  })

  test('the whole history comes back when the key went and came several times', async () => {
    using under = make()
    for (let round = 1; round <= 3; round++) {
      const device = newDevice({ keyDigest })
      await adopt(under.storage, device)
      expect(keySetOf(under.storage).state?.lastJoinNonce ?? 0).toBe(round - 1)
      await joinOnce(under.storage)
      await adopt(under.storage, { kind: 'device-removed', deviceId: device.deviceId, keyDigest })
    }
    await adopt(under.storage, newDevice({ keyDigest }))
    expect(keySetOf(under.storage).state?.lastJoinNonce).toBe(3)
  })

  test('removed and added again in one order, too', async () => {
    using under = make()
    const device = newDevice({ keyDigest })
    await adopt(under.storage, device)
    await joinOnce(under.storage)
    await adopt(
      under.storage,
      { kind: 'device-removed', deviceId: device.deviceId, keyDigest },
      newDevice({ keyDigest }),
    )
    expect(keySetOf(under.storage).state?.lastJoinNonce).toBe(1)
  })
}
