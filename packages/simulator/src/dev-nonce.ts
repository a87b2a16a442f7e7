import { randomInt } from 'node:crypto'
import { devNonceRule, type MacVersion, MAX_DEV_NONCE } from '@mortise/lorawan'
import { DeviceError } from './device-error.ts'

/** Gives a DevNonce that this device has not used. @throws {DeviceError} `dev_nonce_exhausted` */
export type DevNonceSource = () => number

/** The DevNonces of a new device of this version: a counter from 0 (1.0.4, 1.1), or random ones (before). */
export function createDevNonceSource(macVersion: MacVersion): DevNonceSource {
  return devNonceRule(macVersion) === 'counter' ? counting() : random()
}

function counting(): DevNonceSource {
  let next = 0
  return () => {
    if (next > MAX_DEV_NONCE) throw exhausted()
    return next++
  }
}

/** A real device repeats a DevNonce now and then, and tries again. This one does not, so that a refusal means something. */
function random(): DevNonceSource {
  const used = new Set<number>()
  return () => {
    if (used.size > MAX_DEV_NONCE) throw exhausted()
    let devNonce = randomInt(MAX_DEV_NONCE + 1)
    while (used.has(devNonce)) devNonce = (devNonce + 1) % (MAX_DEV_NONCE + 1)
    used.add(devNonce)
    return devNonce
  }
}

function exhausted(): DeviceError {
  return new DeviceError('dev_nonce_exhausted', 'Every DevNonce of this device has been used.')
}
