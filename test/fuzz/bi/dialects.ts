/**
 * What the peers of each dialect are owed, from the table in docs/backend-interfaces.md: nothing here is the code under
 * test.
 */
export interface Dialect {
  readonly versions: readonly Version[]
  /** What an answer is in whose request does not say. */
  readonly answersIn: Version
  readonly nsId: 'echoed' | 'required' | 'never'
  readonly upperCase: boolean
  /** An AppSKey for the network itself: like the network keys, or in clear whatever KEK there is. */
  readonly ownAppSKey: 'like network keys' | 'clear'
  readonly sessionKeyIdBesideOwnAppSKey: boolean
  readonly kekBytes: readonly number[]
}

export type Version = '1.0' | '1.1'
export type DialectName = keyof typeof DIALECTS

const STANDARD: Dialect = {
  versions: ['1.0', '1.1'],
  answersIn: '1.1',
  nsId: 'echoed',
  upperCase: false,
  ownAppSKey: 'like network keys',
  sessionKeyIdBesideOwnAppSKey: true,
  kekBytes: [16, 24, 32],
}
const CHIRPSTACK_3: Dialect = {
  ...STANDARD,
  versions: ['1.0'],
  answersIn: '1.0',
  nsId: 'never',
  sessionKeyIdBesideOwnAppSKey: false,
  kekBytes: [16],
}

export const DIALECTS = {
  'standard-1.0': STANDARD,
  'standard-1.1': { ...STANDARD, versions: ['1.1'], nsId: 'required' },
  'chirpstack-4': { ...CHIRPSTACK_3, ownAppSKey: 'clear' },
  'chirpstack-3': CHIRPSTACK_3,
  'the-things-stack': { ...STANDARD, upperCase: true },
  helium: { ...STANDARD, upperCase: true, kekBytes: [16] },
} as const satisfies Record<string, Dialect>

/** How hex is written to a peer. */
export function cased({ upperCase }: Dialect, hex: string): string {
  return upperCase ? hex.toUpperCase() : hex.toLowerCase()
}
