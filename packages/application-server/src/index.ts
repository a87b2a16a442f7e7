export { AppSKey } from './app-s-key.ts'
export { AppSKeyClient, type AppSKeyClientOptions, type SessionReference } from './app-s-key-client.ts'
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
export * from './codecs/index.ts'
export * from './sessions/index.ts'
