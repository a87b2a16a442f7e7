import { randomBytes } from 'node:crypto'
import { parseDevEui, parseJoinEui } from '@mortise/lorawan'
import { expect, test } from 'vitest'
import { MAX_PAGE_ROWS } from '../../../src/storage/index.ts'
import { adopt, DEV_EUI, JOIN_EUI, joinOnce, keySetOf, newDevice, OTHER_JOIN_EUI } from '../fixtures.ts'
import { UNKNOWN_ID, type StorageUnderTest } from './subject.ts'

/** Devices are added, changed and removed. */
export function deviceChanges(make: () => StorageUnderTest): void {
  test('a device is added, changed and removed', async () => {
    using under = make()
    const { administration, joins } = under.storage
    const device = newDevice({ keysDelivered: false, generation: 3 })
    const before = Date.now()
    await adopt(under.storage, device)
    const added = administration.findDevice(device.deviceId)
    expect(added).toEqual({
      deviceId: device.deviceId,
      createdAt: expect.any(Number) as number,
      keysDelivered: false,
      keySets: [{ ...keySetOf(under.storage), devEui: DEV_EUI, joinEui: JOIN_EUI, noncesDamaged: false }],
    })
    expect(added?.createdAt).toBeGreaterThanOrEqual(before)
    expect(keySetOf(under.storage)).toMatchObject({ generation: 3, record: device.record })
    expect(administration.findDevices(DEV_EUI)).toEqual([added])
    expect(administration.countDevices()).toBe(1)

    const record = randomBytes(200)
    await joinOnce(under.storage)
    await adopt(under.storage, { kind: 'device-changed', deviceId: device.deviceId, record })
    expect(keySetOf(under.storage)).toMatchObject({ record, state: { lastJoinNonce: 1 } })

    const { keySet } = keySetOf(under.storage)
    await adopt(under.storage, { kind: 'device-removed', deviceId: device.deviceId, keyDigest: device.keyDigest })
    expect(joins.findKeySets(JOIN_EUI, DEV_EUI)).toEqual([])
    expect(administration.findDevice(device.deviceId)).toBeUndefined()
    expect(administration.findDevices(DEV_EUI)).toEqual([])
    expect(administration.countDevices()).toBe(0)
    expect(administration.listSessions(keySet)).toEqual([])
  })

  test('a change concerns its own device only', async () => {
    using under = make()
    const [one, two] = [newDevice(), newDevice({ joinEui: OTHER_JOIN_EUI })]
    await adopt(under.storage, one, two)
    await adopt(under.storage, { kind: 'device-removed', deviceId: one.deviceId, keyDigest: one.keyDigest })
    expect(keySetOf(under.storage, DEV_EUI, OTHER_JOIN_EUI).record).toEqual(two.record)
  })
}

/** Devices are listed page by page. */
export function devicePages(make: () => StorageUnderTest): void {
  test('pages are in order of DevEUI, complete and without repetition', async () => {
    using under = make()
    const { administration } = under.storage
    const euis = Array.from({ length: 25 }, () => parseDevEui(randomBytes(8).toString('hex')))
    const joinEuis = ['70b3d57ed0000009', '70b3d57ed0000007', '70b3d57ed0000008'].map(parseJoinEui)
    // One DevEUI under three JoinEUIs: three devices that no page may lose at its edge.
    const twins = joinEuis.map((joinEui) => newDevice({ joinEui }))
    await adopt(under.storage, ...euis.map((devEui) => newDevice({ devEui })), ...twins)
    for (const limit of [1, 3, 28, 29]) {
      const devices = []
      let after: string | undefined
      for (;;) {
        const page = administration.listDevices({ after, limit })
        devices.push(...page)
        const last = page.at(-1)
        if (last === undefined) break
        after = last.deviceId.toString('hex')
      }
      expect(devices.map(({ keySets }) => keySets[0]?.devEui)).toEqual([...euis, DEV_EUI, DEV_EUI, DEV_EUI].sort())
      expect(new Set(devices.map(({ deviceId }) => deviceId.toString('hex'))).size).toBe(28)
    }
    expect(administration.findDevices(DEV_EUI)).toHaveLength(3)
    expect(() => administration.listDevices({ after: undefined, limit: MAX_PAGE_ROWS + 1 })).toThrow(RangeError)
  })

  test('a page goes on after a device that was removed meanwhile; an unknown place has no rows', async () => {
    using under = make()
    const { administration } = under.storage
    const devices = ['01', '02', '03'].map((end) => newDevice({ devEui: parseDevEui(`0004a30b000000${end}`) }))
    await adopt(under.storage, ...devices)
    const [, second, third] = administration.listDevices({ after: undefined, limit: 3 })
    if (second === undefined || third === undefined) throw new Error('three devices expected')
    const after = second.deviceId.toString('hex')
    expect(administration.listDevices({ after, limit: 3 })).toEqual([third])
    await adopt(under.storage, { kind: 'device-removed', deviceId: second.deviceId, keyDigest: randomBytes(16) })
    expect(administration.listDevices({ after, limit: 3 })).toEqual([third])
    expect(administration.listDevices({ after: UNKNOWN_ID.toString('hex'), limit: 3 })).toEqual([])
  })
}
