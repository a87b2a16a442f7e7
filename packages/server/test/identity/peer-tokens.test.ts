import { describe, expect, it } from 'vitest'
import {
  ApplicationServer,
  type ClientCertificate,
  hashSecret,
  newToken,
  PeerDirectory,
} from '../../src/identity/index.ts'
import type { Peer, PeerToken } from '../../src/storage/index.ts'
import { newCertificate, newPeer, newToken as newPeerToken } from '../storage/fixtures.ts'

const NOW = 1_800_000_000_000
const [BEARER, OWN, OF_AS, OF_DISABLED] = [`Bearer ${newToken()}`, newToken(), newToken(), newToken()] as const

function shows(value: string, header = 'authorization'): PeerToken {
  return newPeerToken({ digest: hashSecret(value).toString('hex'), header })
}

function known(id: string, token: PeerToken, change: Partial<Peer> = {}): Peer {
  return newPeer({ id, certificates: [], tokens: [token], ...change })
}

const pinned = newCertificate({ fingerprint: 'aa', notBefore: NOW - 1000, notAfter: NOW + 1000 })
const peers = [
  known('000013', shows(BEARER), { certificates: [pinned], tokens: [shows(BEARER), shows(OWN, 'x-ns')] }),
  known('app.example', shows(OF_AS, 'x-as'), { kind: 'as' }),
  known('000014', shows(OF_DISABLED), {
    certificates: [newCertificate({ fingerprint: 'cc', notBefore: 0, notAfter: Infinity })],
    disabled: true,
  }),
]
const directory = new PeerDirectory({ listPeers: () => peers })

const certificate = (fingerprint: string): ClientCertificate => ({ fingerprint, read: () => undefined })
const NONE = certificate('')

/** Whom a request without a peer's certificate comes from. */
function callerOf(headers: readonly string[], from = directory): string {
  const caller = from.authenticate(NONE, NOW, headers)
  return typeof caller === 'string' ? caller : caller.id
}

describe('a token', () => {
  it.each<[string, string, readonly string[]]>([
    ['in the header that it is for', '000013', ['Authorization', BEARER]],
    ['of an application server', 'app.example', ['X-AS', OF_AS]],
    ['under a name in any letters', '000013', ['aUTHORIZATION', BEARER]],
    ['among other headers', '000013', ['Host', 'js', 'Authorization', BEARER, 'Accept', '*/*']],
    ['beside another one of the same peer', '000013', ['Authorization', BEARER, 'X-NS', OWN]],
    ['beside something else in a header of others', '000013', ['X-NS', OWN, 'Authorization', 'Basic proxy']],
    ['beside headers of no peer that come twice', '000013', ['Via', 'a', 'Via', 'b', 'Authorization', BEARER]],
    ['of a disabled peer', 'disabled', ['Authorization', OF_DISABLED]],
  ])('%s: %s', (_name, caller, headers) => {
    expect(callerOf(headers)).toBe(caller)
  })

  it.each<[string, readonly string[]]>([
    ['nothing', []],
    ['another value', ['Authorization', `Bearer ${newToken()}`]],
    ['the digest instead of what it is of', ['Authorization', hashSecret(BEARER).toString('hex')]],
    ['the token without its scheme', ['Authorization', BEARER.slice('Bearer '.length)]],
    ['the scheme in other letters', ['Authorization', BEARER.replace('Bearer', 'bearer')]],
    ['a token in a header of another', ['X-AS', OWN]],
    ['a token in a header of nobody', ['X-Other', BEARER]],
    ['a token and a little more', ['Authorization', `${BEARER} `]],
    ['two tokens in one header', ['Authorization', `${BEARER}, ${BEARER}`]],
    ['a header twice', ['Authorization', BEARER, 'Authorization', BEARER]],
    ['a header twice, first with a token', ['Authorization', BEARER, 'authorization', 'Basic proxy']],
    ['a header twice, then with a token', ['Authorization', 'Basic proxy', 'Authorization', BEARER]],
    ['a token, and another header of peers twice', ['Authorization', BEARER, 'X-AS', 'a', 'X-AS', 'b']],
    ['tokens of two peers', ['Authorization', BEARER, 'X-AS', OF_AS]],
    ['tokens of two peers, one disabled', ['Authorization', OF_DISABLED, 'X-NS', OWN]],
    ['a name without a value', ['Authorization']],
  ])('is not there, or nobody could tell whose: %s', (_name, headers) => {
    expect(callerOf(headers)).toBe('unknown')
    expect(callerOf(['Authorization', BEARER])).toBe('000013')
  })

  it('makes the same peer as its certificate does', () => {
    expect(directory.authenticate(NONE, NOW, ['Authorization', BEARER])).toBe(
      directory.authenticate(certificate('aa'), NOW),
    )
    expect(directory.authenticate(NONE, NOW, ['X-AS', OF_AS])).toBeInstanceOf(ApplicationServer)
  })

  it('is looked for only where the certificate is no peer’s at all', () => {
    const headers = ['Authorization', BEARER]
    const untouched = new Proxy(headers, {
      get: () => {
        throw new Error('nobody asked for headers')
      },
    })
    expect(directory.authenticate(certificate('aa'), NOW, untouched)).toMatchObject({ id: '000013' })
    expect(directory.authenticate(certificate('aa'), NOW + 1001, untouched)).toBe('expired')
    expect(directory.authenticate(certificate('cc'), NOW, untouched)).toBe('disabled')
    expect(directory.authenticate(certificate('dd'), NOW, headers)).toMatchObject({ id: '000013' })
    expect(() => directory.authenticate(NONE, NOW, untouched)).toThrow('nobody asked for headers')
  })

  it('is no peer’s any more after a reload without it, and headers of nobody are not looked at', () => {
    const changing = [known('000013', shows(BEARER))]
    const changed = new PeerDirectory({ listPeers: () => changing })
    expect(callerOf(['Authorization', BEARER], changed)).toBe('000013')
    changing[0] = known('000013', shows(OWN, 'x-ns'))
    changed.reload()
    expect(callerOf(['Authorization', BEARER], changed)).toBe('unknown')
    expect(callerOf(['Authorization', 'a', 'Authorization', 'b', 'X-NS', OWN], changed)).toBe('000013')
  })
})

it('a new token is 32 random bytes that a scanner finds', () => {
  const made = [newToken(), newToken()]
  for (const token of made) expect(token).toMatch(/^mortise_[\w-]{43}$/)
  expect(made[0]).not.toBe(made[1])
})
