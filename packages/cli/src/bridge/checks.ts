import type { Check } from '../kit/check.ts'

/** What `mortise bridge check` looks at. The names are stable, for programs. */
export type BridgeCheckName =
  | 'configuration'
  | 'data'
  | 'certificate'
  | 'kek'
  | 'codec'
  | 'source'
  | 'api'
  | 'sink'
  | 'join-server'
  | 'listen'

export type BridgeCheck = Check<BridgeCheckName>
