/** What runs in a browser as it does in Node: keys and payloads. Sessions are kept, codecs run, and join servers asked in Node. */
export { AppSKey } from './app-s-key.ts'
export { ApplicationServerError, type ApplicationServerErrorCode } from './errors.ts'
export { KekRing } from './kek-ring.ts'
export { cryptPayload, type PayloadContext } from './payload.ts'
export { Secret } from './secret.ts'
export {
  type ClearDownlink,
  type DecryptedUplink,
  type EncryptedDownlink,
  type EncryptedUplink,
  MAX_F_CNT_GAP,
  Session,
  type SessionOptions,
  type UplinkCounter,
} from './session.ts'
