import { createHash } from 'node:crypto'
import type { JoinReq } from '@mortise/backend-interfaces'

const REQUEST_DIGEST_BYTES = 16

/**
 * What makes two JoinReqs the same join: everything that the answer depends on. TransactionID is not in it (The Things
 * Stack always sends 0), nor are tokens.
 */
export function requestDigest(request: JoinReq): Buffer {
  const parameters = Buffer.from([request.dlSettings, request.rxDelay])
  const hash = createHash('sha256')
    .update(request.netId)
    .update(request.devAddr)
    .update(parameters)
    .update(request.phyPayload)
  if (request.cfList !== undefined) hash.update(request.cfList)
  return hash.digest().subarray(0, REQUEST_DIGEST_BYTES)
}
