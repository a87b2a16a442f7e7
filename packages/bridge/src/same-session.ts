import { BridgeError } from './errors.ts'
import type { SealedDownlink } from './source.ts'

/**
 * After a join the network sends for the new session, while downlinks are sealed for the old one until the device has
 * used the new. The device would open such a frame to noise.
 * @throws {BridgeError} `downlink_refused`
 */
export function requireSameSession({ devAddr, devEui }: SealedDownlink, devAddrOfNetwork: string): void {
  if (devAddr === devAddrOfNetwork) return
  throw new BridgeError('downlink_refused', `${devEui} has joined anew, and sent no uplink of its new session yet.`)
}
