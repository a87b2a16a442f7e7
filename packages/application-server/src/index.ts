export { AppSKeyClient, type AppSKeyClientOptions, type SessionReference } from './app-s-key-client.ts'
export * from './codecs/index.ts'
export * from './portable.ts'
export * from './sessions/index.ts'
