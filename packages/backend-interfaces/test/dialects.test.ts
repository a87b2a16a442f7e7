import {
  DIALECT_NAMES,
  dialectOf,
  encodeFailure,
  encodeHomeNsAns,
  encodeJoinAns,
  type FailureCode,
  isDialectName,
  type ProtocolVersion,
  parseMessage,
  RESULT_CODES,
  resultCodeFor,
} from '@mortise/backend-interfaces'
import { parseNetId, parseNsId } from '@mortise/lorawan'
import { describe, expect, it } from 'vitest'
import {
  acceptedMessage,
  APP_S_KEY_REQ,
  bytesOf,
  HOME_NS_REQ,
  JOIN_REQ,
  type Message,
  REJOIN_REQ,
  refusedMessage,
  withMembers,
} from './messages.ts'
import { clearKey, FOR_APPLICATION, forNetwork, SESSION_KEY_ID_ONLY, wrappedKey } from './outcomes.ts'
import { chirpStackComplaint, ttsComplaint } from './peer-rules.ts'

const DIALECTS = DIALECT_NAMES.map(dialectOf)
const VERSIONS = ['1.0', '1.1'] as const
const NS_ID = '70B3D57ED0000013'
const FAILURES = RESULT_CODES.filter((code): code is FailureCode => code !== 'Success')

// Codes that TS002 1.0 does not have; a peer that reads codes as a closed list loses the answer over one.
const ONLY_11 = ['NoAction', 'FrameReplayed', 'MalformedMessage']

describe('the table of dialects', () => {
  it('has one row a name, and knows no other name', () => {
    expect(DIALECTS.map(({ name }) => name)).toEqual([...DIALECT_NAMES])
    expect(DIALECT_NAMES.every(isDialectName)).toBe(true)
    for (const name of ['', 'standard', 'Standard-1.0', 'constructor', '__proto__'])
      expect(isDialectName(name)).toBe(false)
    for (const name of DIALECT_NAMES) expect(dialectOf(name)).toBe(dialectOf(name))
  })

  it('is this one', () => {
    const row = ({ asks: { macVersion, connections, transactionId }, ...columns }: (typeof DIALECTS)[number]) => [
      columns.name,
      columns.protocolVersions.join(),
      columns.resultCodes,
      columns.senderNsId,
      columns.hexCase,
      columns.ownAppSKey,
      columns.sessionKeyIdBesideOwnAppSKey,
      columns.kekSizes.join(),
      columns.asynchronous,
      macVersion,
      transactionId,
      connections,
    ]
    const many = 'one-per-request'
    expect(DIALECTS.map(row)).toEqual([
      [
        'standard-1.0',
        '1.0,1.1',
        'as-asked',
        'echoed',
        'lower',
        'wrapped',
        true,
        '16,24,32',
        true,
        'long',
        'random',
        'kept',
      ],
      [
        'standard-1.1',
        '1.1',
        'as-asked',
        'required',
        'lower',
        'wrapped',
        true,
        '16,24,32',
        true,
        'long',
        'random',
        'kept',
      ],
      ['chirpstack-4', '1.0', '1.0', 'never', 'lower', 'clear', false, '16', true, 'long', 'random', 'kept'],
      ['chirpstack-3', '1.0', '1.0', 'never', 'lower', 'wrapped', false, '16', true, 'long', 'random', 'kept'],
      [
        'the-things-stack',
        '1.0,1.1',
        'as-asked',
        'echoed',
        'upper',
        'wrapped',
        true,
        '16,24,32',
        false,
        'short',
        'zero',
        many,
      ],
      ['helium', '1.0,1.1', 'as-asked', 'echoed', 'upper', 'wrapped', true, '16', false, 'long', 'random', 'kept'],
    ])
  })
})

describe.each(DIALECTS)('the dialect $name', (dialect) => {
  const inVersion = (message: Readonly<Message>, ProtocolVersion: ProtocolVersion) =>
    withMembers(message, { ProtocolVersion, SenderNSID: NS_ID })

  it.each(VERSIONS)('takes requests in %s, or refuses them in a version that it takes', (version) => {
    for (const message of [JOIN_REQ, REJOIN_REQ, HOME_NS_REQ, APP_S_KEY_REQ]) {
      const body = bytesOf(JSON.stringify(inVersion(message, version)))
      if (dialect.protocolVersions.includes(version)) {
        expect(parseMessage(body, dialect)).toMatchObject({ kind: 'message', header: { protocolVersion: version } })
      } else {
        const refused = refusedMessage(body, dialect)
        expect(refused.result).toBe('InvalidProtocolVersion')
        expect(dialect.protocolVersions).toContain(refused.header.protocolVersion)
      }
    }
  })

  it.each(['not JSON', '{}', '{"MessageType":"JoinReq"}', '{"ProtocolVersion":"2.0","MessageType":"JoinReq"}'])(
    'is answered in a version that it takes, with a code of that version, when it sends %s',
    (text) => {
      const { header, result, description } = refusedMessage(bytesOf(text), dialect)
      expect(dialect.protocolVersions).toContain(header.protocolVersion)
      const answer = encodeFailure(header, result, description, dialect)
      if (header.protocolVersion === '1.0') for (const code of ONLY_11) expect(answer).not.toContain(code)
      else expect(answer).not.toContain('MalformedRequest')
    },
  )

  it.each(FAILURES)('reads the failure %s in every version', (failure) => {
    for (const version of dialect.protocolVersions) {
      const { header } = acceptedMessage(inVersion(JOIN_REQ, version), dialect)
      const text = encodeFailure(header, failure, 'Look here.', dialect)
      expect(ttsComplaint(text)).toBeUndefined()
      if (version === '1.0') expect(chirpStackComplaint(text)).toBeUndefined()
    }
  })

  it('is never sent a code of 1.1 when it speaks 1.0', () => {
    for (const code of RESULT_CODES) expect(ONLY_11).not.toContain(resultCodeFor(code, '1.0', dialect))
  })

  it.each(['JoinAns', 'RejoinAns'])('reads every %s, whatever the session', (type) => {
    const baseline = type === 'JoinAns' ? JOIN_REQ : REJOIN_REQ
    const own = dialect.ownAppSKey === 'clear' ? [clearKey(1)] : [clearKey(1), wrappedKey(1, 'ns-000013')]
    for (const version of dialect.protocolVersions) {
      const { header } = acceptedMessage(inVersion(baseline, version), dialect)
      for (const outcome of [...FOR_APPLICATION, ...SESSION_KEY_ID_ONLY, ...own.flatMap(forNetwork)]) {
        const text = encodeJoinAns(header, outcome, dialect)
        expect(JSON.parse(text)).toMatchObject({ MessageType: type, ProtocolVersion: version })
        expect(chirpStackComplaint(text)).toBeUndefined()
        expect(ttsComplaint(text)).toBeUndefined()
        expect(JSON.stringify(JSON.parse(text))).toBe(text)
      }
    }
  })

  it('gets its hexadecimal in one case, apart from identifiers that it wrote itself', () => {
    const version = dialect.unreadableAnsweredIn
    const message = withMembers(inVersion(HOME_NS_REQ, version), { SenderToken: '0xAbCd', SenderID: 'C00053' })
    const { header } = acceptedMessage(message, dialect)
    const outcome = { hNetId: parseNetId('abcdef'), hNsId: parseNsId('70b3d57ed000abcd') }
    const home = JSON.parse(encodeHomeNsAns(header, outcome, dialect)) as Message
    const join = JSON.parse(encodeJoinAns(header, FOR_APPLICATION[0]!, dialect)) as Record<string, Message>
    const cased = (text: string) => (dialect.hexCase === 'upper' ? text.toUpperCase() : text)
    expect(home).toMatchObject({ ReceiverID: 'C00053', ReceiverToken: cased('abcd'), HNetID: cased('abcdef') })
    expect(join).toMatchObject({ PHYPayload: cased('2f'.repeat(17)), SessionKeyID: cased('ab60f8530000010001') })
    expect(join['AppSKey']).toEqual({ KEKLabel: 'as-test', AESKey: cased('a2'.repeat(24)) })
    if (version === '1.1') expect(home).toMatchObject({ ReceiverNSID: cased(NS_ID.toLowerCase()) })
  })

  it('may have an AppSKey of its own wrapped only where it can unwrap it', () => {
    const { header } = acceptedMessage(inVersion(JOIN_REQ, dialect.unreadableAnsweredIn), dialect)
    for (const outcome of forNetwork(wrappedKey(1, 'ns-000013'))) {
      const encode = () => encodeJoinAns(header, outcome, dialect)
      if (dialect.ownAppSKey === 'clear') expect(encode).toThrow(RangeError)
      else expect(encode()).toContain('"AppSKey":{"KEKLabel":"ns-000013"')
    }
    for (const outcome of forNetwork(clearKey(1)))
      expect(encodeJoinAns(header, outcome, dialect)).toContain('"AppSKey"')
  })

  it('has SessionKeyID beside an AppSKey of its own only where that does no harm, and always beside another', () => {
    const { header } = acceptedMessage(inVersion(JOIN_REQ, dialect.unreadableAnsweredIn), dialect)
    for (const outcome of forNetwork(clearKey(1))) {
      expect('SessionKeyID' in JSON.parse(encodeJoinAns(header, outcome, dialect))).toBe(
        dialect.sessionKeyIdBesideOwnAppSKey,
      )
    }
    for (const outcome of [...FOR_APPLICATION, ...SESSION_KEY_ID_ONLY]) {
      expect(encodeJoinAns(header, outcome, dialect)).toContain('"SessionKeyID"')
    }
  })
})

describe('what is sent to a peer of 1.0 or of ChirpStack', () => {
  it('has no code of 1.1, even if its header said 1.1', () => {
    for (const name of ['chirpstack-4', 'chirpstack-3'] as const) {
      for (const failure of FAILURES) {
        expect(ONLY_11).not.toContain(resultCodeFor(failure, '1.1', dialectOf(name)))
        const text = encodeFailure({ protocolVersion: '1.1' }, failure, 'x', dialectOf(name))
        expect(chirpStackComplaint(text)).toBeUndefined()
      }
    }
    // The needle: the standard does use them towards 1.1.
    expect(FAILURES.map((code) => resultCodeFor(code, '1.1', dialectOf('standard-1.1')))).toEqual(
      expect.arrayContaining(ONLY_11),
    )
  })
})
