import type { CheckValues } from '../token/token.ts'
import type { Members } from '../members.ts'

const CMAC_BYTES = 16
/** A sentinel of 16 bytes, wrapped (RFC 3394). */
const SENTINEL_BLOB_BYTES = 24

/** Check values as a JSON object of lower-case hex. */
export function encodeCheckValues(values: CheckValues): Record<keyof CheckValues, string> {
  return {
    rootUseSentinel: values.rootUseSentinel.toString('hex'),
    rootUseCmac: values.rootUseCmac.toString('hex'),
    sessionSentinel: values.sessionSentinel.toString('hex'),
    sessionCmac: values.sessionCmac.toString('hex'),
    bindingCmac: values.bindingCmac.toString('hex'),
    escrowOfSentinel: values.escrowOfSentinel.toString('hex'),
  }
}

/** @throws HsmError store_damaged */
export function decodeCheckValues(members: Members): CheckValues {
  const values: CheckValues = {
    rootUseSentinel: members.hexBytes('rootUseSentinel', SENTINEL_BLOB_BYTES),
    rootUseCmac: members.hexBytes('rootUseCmac', CMAC_BYTES),
    sessionSentinel: members.hexBytes('sessionSentinel', SENTINEL_BLOB_BYTES),
    sessionCmac: members.hexBytes('sessionCmac', CMAC_BYTES),
    bindingCmac: members.hexBytes('bindingCmac', CMAC_BYTES),
    escrowOfSentinel: members.hexBytes('escrowOfSentinel', SENTINEL_BLOB_BYTES),
  }
  members.end()
  return values
}
