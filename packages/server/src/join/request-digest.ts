import { hash } from 'node:crypto'
import type { ActivationReq } from './activation.ts'

const REQUEST_DIGEST_BYTES = 16
const NOTHING = new Uint8Array(0)

/**
 * What makes two requests the same join or rejoin: everything that the answer depends on. TransactionID is not in it (The Things
 * Stack always sends 0), nor are tokens.
 */
export function requestDigest(request: ActivationReq): Buffer {
  const { netId, devAddr, dlSettings, rxDelay, phyPayload, cfList = NOTHING } = request
  const input = Buffer.allocUnsafe(netId.length + devAddr.length + 2 + phyPayload.length + cfList.length)
  let offset = input.write(netId, 'latin1')
  offset += input.write(devAddr, offset, 'latin1')
  offset = input.writeUInt8(dlSettings, offset)
  offset = input.writeUInt8(rxDelay, offset)
  input.set(phyPayload, offset)
  input.set(cfList, offset + phyPayload.length)
  return hash('sha256', input, 'buffer').subarray(0, REQUEST_DIGEST_BYTES)
}
