import type { HexCase } from './hex-case.ts'
import type { ProtocolVersion } from './protocol-version.ts'
import {
  CHIRPSTACK_3_STYLE,
  CHIRPSTACK_4_STYLE,
  HELIUM_STYLE,
  type RequestStyle,
  STANDARD_STYLE,
  THE_THINGS_STACK_STYLE,
} from './request-style.ts'

/** The kinds of network server whose ways are known. */
export const DIALECT_NAMES = [
  'standard-1.0',
  'standard-1.1',
  'chirpstack-4',
  'chirpstack-3',
  'the-things-stack',
  'helium',
] as const

export type DialectName = (typeof DIALECT_NAMES)[number]

/** What a join server has to know of a kind of network server to be understood by it. */
export interface Dialect {
  readonly name: DialectName
  /** In which it is served; other requests are refused with InvalidProtocolVersion. */
  readonly protocolVersions: readonly ProtocolVersion[]
  /** In which it is answered when its request does not tell. */
  readonly unreadableAnsweredIn: ProtocolVersion
  /** Codes of the version in which it asked, or of 1.0 whatever it asked in. */
  readonly resultCodes: 'as-asked' | '1.0'
  /**
   * SenderNSID in version 1.1: `echoed` when it is an EUI-64 and otherwise passed over, also `required`, or `never` read
   * and written. Application servers have none.
   */
  readonly senderNsId: 'echoed' | 'required' | 'never'
  /** Of what is written; identifiers of the header go back as they came. */
  readonly hexCase: HexCase
  /**
   * AppSKey for a network server that is the device's application server itself: `wrapped` under its KEK if it has one, or
   * always `clear`, because it does not unwrap AppSKeys. One for another application server is always wrapped for that.
   */
  readonly ownAppSKey: 'wrapped' | 'clear'
  /** Whether SessionKeyID may stand beside such an AppSKey. Where it may not, it would end the decryption of payloads. */
  readonly sessionKeyIdBesideOwnAppSKey: boolean
  /** Sizes of KEKs that it can unwrap under, in bytes. A KEK of an application server is no matter of the network's. */
  readonly kekSizes: readonly number[]
  /** Whether it can take answers posted to a URL of its own. */
  readonly asynchronous: boolean
  /** Where it may post its requests, beside what the operator configures. */
  readonly paths: readonly string[]
  /** How it asks. Requests are read in every style from everybody; this is for who plays such a network server. */
  readonly asks: RequestStyle
}

type Columns = Omit<Dialect, 'name'>

/** What every network server gets of which nothing better is known. */
const STANDARD_1_0: Columns = {
  protocolVersions: ['1.0', '1.1'],
  unreadableAnsweredIn: '1.1',
  resultCodes: 'as-asked',
  senderNsId: 'echoed',
  hexCase: 'lower',
  ownAppSKey: 'wrapped',
  sessionKeyIdBesideOwnAppSKey: true,
  kekSizes: [16, 24, 32],
  asynchronous: true,
  paths: ['/'],
  asks: STANDARD_STYLE,
}

/**
 * ChirpStack always speaks 1.0 and reads result codes as a closed enumeration. It never unwraps an AppSKey, and takes a
 * SessionKeyID for the sign that payloads are not its own to decrypt. Its KEKs have 128 bits.
 */
const CHIRPSTACK_4: Columns = {
  ...STANDARD_1_0,
  protocolVersions: ['1.0'],
  unreadableAnsweredIn: '1.0',
  resultCodes: '1.0',
  senderNsId: 'never',
  ownAppSKey: 'clear',
  sessionKeyIdBesideOwnAppSKey: false,
  kekSizes: [16],
  asks: CHIRPSTACK_4_STYLE,
}

const COLUMNS: Readonly<Record<DialectName, Columns>> = {
  'standard-1.0': STANDARD_1_0,
  // TS002 1.1 demands an NSID of network servers.
  'standard-1.1': { ...STANDARD_1_0, protocolVersions: ['1.1'], senderNsId: 'required' },
  'chirpstack-4': CHIRPSTACK_4,
  // Its application server unwraps AppSKeys. Some of its installations append a path to the URL of the join server.
  'chirpstack-3': {
    ...CHIRPSTACK_4,
    ownAppSKey: 'wrapped',
    paths: ['/', '/lbi', '/lbi_joinreq'],
    asks: CHIRPSTACK_3_STYLE,
  },
  // Answers are read from the response alone. Paths as older releases appended them.
  'the-things-stack': {
    ...STANDARD_1_0,
    hexCase: 'upper',
    asynchronous: false,
    paths: ['/', '/lbi', '/lbi_joinreq'],
    asks: THE_THINGS_STACK_STYLE,
  },
  // Says 1.1 and leaves the NSID empty. What it takes beyond that is not known, so it gets what nobody stumbles over.
  helium: { ...STANDARD_1_0, hexCase: 'upper', kekSizes: [16], asynchronous: false, asks: HELIUM_STYLE },
}

const DIALECTS: ReadonlyMap<string, Dialect> = new Map(
  DIALECT_NAMES.map((name) => [name, Object.freeze({ name, ...COLUMNS[name] })]),
)

/** The one row of a name: always the same object. */
export function dialectOf(name: DialectName): Dialect {
  const dialect = DIALECTS.get(name)
  if (dialect === undefined) throw new RangeError(`There is no dialect ${JSON.stringify(name)}.`)
  return dialect
}

export function isDialectName(text: string): text is DialectName {
  return DIALECTS.has(text)
}
