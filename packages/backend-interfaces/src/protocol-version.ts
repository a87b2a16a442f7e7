/** The versions of the Backend Interfaces specification (TS002) that are spoken here. */
export type ProtocolVersion = '1.0' | '1.1'

export function isProtocolVersion(value: unknown): value is ProtocolVersion {
  return value === '1.0' || value === '1.1'
}
