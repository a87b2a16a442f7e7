import { describe, expect, test } from 'vitest'
import { type AnsweredKeys, Device, loadDevEui, SoftSecureElement, WrongAnswerError } from '../../src/index.ts'
import { DEV_ADDR, deviceOf, devicesOf, fleetOf, oracleAnswer } from './fleet.ts'

describe.each(['1.0.4', '1.1.0'] as const)('devices of a load, LoRaWAN %s', (macVersion) => {
  const fleet = fleetOf(macVersion)

  test('send what a device with a secure element sends, one DevNonce after the other', async () => {
    const devices = devicesOf(fleet)
    for (const index of [0, 1, 4]) {
      const secureElement = new SoftSecureElement()
      const { identity, rootKeys } = deviceOf(fleet, index)
      secureElement.loadDevice(identity, rootKeys)
      const device = new Device(secureElement, identity)
      for (const devNonce of [0, 1, 2])
        expect(devices.joinRequest(index)).toEqual({
          devNonce,
          phyPayload: new Uint8Array(await device.joinRequest()),
        })
    }
  })

  test('accept what a device with a secure element accepts', async () => {
    const devices = devicesOf(fleet)
    const { identity, rootKeys } = deviceOf(fleet, 3)
    const secureElement = new SoftSecureElement()
    secureElement.loadDevice(identity, rootKeys)
    const device = new Device(secureElement, identity)
    for (const joinNonce of [1, 2, 700]) {
      const { devNonce } = devices.joinRequest(3)
      await device.joinRequest()
      const answer = oracleAnswer(fleet, { index: 3, devNonce, joinNonce })
      await device.handleJoinAccept(Buffer.from(answer.phyPayload, 'hex'))
      devices.checkAnswer({ index: 3, devNonce, devAddr: DEV_ADDR }, answer)
    }
  })

  const right = (index = 0, devNonce = 0, joinNonce = 5) => oracleAnswer(fleet, { index, devNonce, joinNonce })
  const firstKey = Object.keys(right().networkKeys)[0]!
  const withKey = (key: string | undefined, name = firstKey): AnsweredKeys => ({
    ...right(),
    networkKeys: { ...right().networkKeys, [name]: key },
  })

  test.each<[string, () => AnsweredKeys]>([
    ['a flipped bit in the join-accept', () => ({ ...right(), phyPayload: flipped(right().phyPayload) })],
    ["another device's join-accept", () => ({ ...right(), phyPayload: right(1).phyPayload })],
    ['the join-accept of another DevNonce', () => right(0, 1)],
    ['a DevAddr that was not asked for', () => oracleAnswer(fleet, { ...JOIN, devAddr: '26012e44' })],
    ['another NetID', () => oracleAnswer(fleet, { ...JOIN, netId: '000024' })],
    ['another RxDelay', () => oracleAnswer(fleet, { ...JOIN, rxDelay: 2 })],
    ['a join-accept without CFList', () => oracleAnswer(fleet, { ...JOIN, cfList: '' })],
    ['another network session key', () => withKey('00'.repeat(16))],
    ['no network session key', () => withKey(undefined)],
    ['a network session key too many', () => withKey('00'.repeat(16), 'OtherKey')],
    ["another device's AppSKey", () => ({ ...right(), appSKey: right(1).appSKey })],
    ['an AppSKey under another KEK', () => ({ ...right(), appSKey: flipped(right().appSKey) })],
  ])('refuse %s, and then accept the right answer', (_what, wrong) => {
    const devices = devicesOf(fleet)
    const { devNonce } = devices.joinRequest(0)
    const join = { index: 0, devNonce, devAddr: DEV_ADDR }
    expect(() => {
      devices.checkAnswer(join, wrong())
    }).toThrow(WrongAnswerError)
    devices.checkAnswer(join, right())
  })

  test('refuse a JoinNonce that does not rise', () => {
    const devices = devicesOf(fleet)
    const answer = (joinNonce: number) => () => {
      const { devNonce } = devices.joinRequest(1)
      const join = { index: 1, devNonce, devAddr: DEV_ADDR }
      devices.checkAnswer(join, oracleAnswer(fleet, { index: 1, devNonce, joinNonce }))
    }
    answer(9)()
    expect(answer(9)).toThrow('JoinNonce does not rise')
    expect(answer(8)).toThrow('JoinNonce does not rise')
    answer(10)()
  })
})

const JOIN = { index: 0, devNonce: 0, joinNonce: 5 }

describe('DevEUIs of a fleet', () => {
  test('are all different, also between LoRaWAN versions', () => {
    const fleets = [fleetOf('1.0.4'), fleetOf('1.1.0')]
    const euis = fleets.flatMap((fleet) => Array.from({ length: 50_000 }, (_, index) => loadDevEui(fleet, index)))
    expect(new Set(euis).size).toBe(100_000)
  })
})

function flipped(hex: string): string {
  const bytes = Buffer.from(hex, 'hex')
  bytes.writeUInt8(bytes.readUInt8(3) ^ 1, 3)
  return bytes.toString('hex')
}
