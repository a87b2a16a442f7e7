import { type DevEui, parseDevAddr, parseDevEui, parseJoinEui } from '@mortise/lorawan'
import { type NewSession, sessionIdOf } from '../../src/index.ts'

export const DEV_EUI = parseDevEui('70b3d57ed0000001')
export const DEV_ADDR = parseDevAddr('26012e43')
export const JOIN_EUI = parseJoinEui('70b3d57ed0000000')

/** The session number `number` of a device, that began at that second. */
export function newSession(number: number, devEui: DevEui = DEV_EUI): NewSession {
  const announced = {
    devEui,
    devAddr: DEV_ADDR,
    joinEui: JOIN_EUI,
    sessionKeyId: Uint8Array.of(number),
    appSKey: { kekLabel: 'as-1', aesKey: new Uint8Array(24).fill(number) },
  }
  const id = sessionIdOf(announced)
  if (id === undefined) throw new Error('a SessionKeyID names a session')
  return { ...announced, id, begunAtMs: number * 1000 }
}

export function devEui(number: number): DevEui {
  return parseDevEui(number.toString(16).padStart(16, '0'))
}
