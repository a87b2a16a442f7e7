export {
  DeviceSessions,
  type DeviceSessionsOptions,
  type Reading,
  type SessionDownlink,
  type SessionEvent,
  type UplinkEvent,
  type UplinkOutcome,
} from './device-sessions.ts'
export { ASK_AGAIN_AFTER_MS } from './envelope-source.ts'
export { MemorySessionStore } from './memory-store.ts'
export { PostgresqlSessionStore, type PostgresqlSessionStoreOptions } from './postgresql-store.ts'
export {
  MAX_SESSIONS_PER_DEVICE,
  sessionInUse,
  type SessionStore,
  type SessionStoreLimits,
  type UplinkAcceptance,
} from './session-store.ts'
export { SqliteSessionStore } from './sqlite-store.ts'
export {
  type AnnouncedSession,
  type DownlinkCounterId,
  type NewSession,
  type SessionId,
  sessionIdOf,
  type StoredSession,
  type WrappedAppSKey,
} from './stored-session.ts'
export { LATE_UPLINKS } from './uplink-window.ts'
