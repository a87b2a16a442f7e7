import { parseDevEui, parseJoinEui } from '@mortise/lorawan'
import { describe, expect, test } from 'vitest'
import { type Change, type Order, ORDER_FORMAT } from '../../src/orders/order.ts'
import { parseOrder } from '../../src/orders/parse-order.ts'
import { orderText } from '../../src/orders/sign-order.ts'
import { codeOf } from '../support/refusal.ts'

const ID = '00112233445566778899aabbccddeeff'
const SHA256 = 'ab'.repeat(32)
const NS = { peer: ID, kind: 'ns', id: '000013' } as const
const AS = { peer: ID, kind: 'as', id: 'door-sensors' } as const
const SETTINGS = { nsId: '0011223344556677', dialect: 'the-things-stack', asyncUrl: 'https://ns.example/bi?x=1' }
const PREFIX = { joinEui: parseJoinEui('70b3d57ed0000000'), bits: 40 }

const CHANGES = {
  add: { action: 'peer.add', ...NS, ...SETTINGS, kekOnly: true, protocol: '1.1', certificate: SHA256 },
  addNamed: { action: 'peer.add', ...NS, protocol: '1.0', authority: SHA256, name: 'ns.example' },
  addToken: { action: 'peer.add', ...NS, protocol: '1.0', token: SHA256, header: 'authorization' },
  addAs: { action: 'peer.add', ...AS, protocol: '1.1', certificate: SHA256 },
  set: { action: 'peer.set', ...NS, ...SETTINGS, kekOnly: false, protocol: '1.0' },
  setNothingElse: { action: 'peer.set', ...NS, nsId: null, dialect: null, asyncUrl: null, kekOnly: null },
  setAs: { action: 'peer.set', ...AS, protocol: '1.1' },
  disable: { action: 'peer.disable', ...NS },
  remove: { action: 'peer.remove', ...AS },
  certificateAdd: { action: 'peer.certificate.add', ...NS, certificate: SHA256 },
  certificateRemove: { action: 'peer.certificate.remove', ...AS, certificate: SHA256 },
  tokenAdd: { action: 'peer.token.add', ...NS, token: SHA256, header: 'x-join-server' },
  tokenRemove: { action: 'peer.token.remove', ...AS, token: SHA256 },
  agreementDevice: { action: 'agreement.add', ...NS, devEui: parseDevEui('70b3d57ed0001234') },
  agreementPrefix: { action: 'agreement.remove', ...NS, ...PREFIX },
  route: {
    action: 'route.add',
    route: ID,
    ...PREFIX,
    url: 'https://js.example:8443/bi',
    protocol: '1.0',
    certificate: SHA256,
    authority: SHA256,
  },
  routeRemove: { action: 'route.remove', route: ID, ...PREFIX },
} as const satisfies Record<string, Change>

function orderOf(...changes: readonly unknown[]): Order {
  return {
    format: ORDER_FORMAT,
    hsm: '0123456789abcdef',
    signer: ID,
    sequence: 1,
    issuedAt: '2026-01-02T03:04:05.678Z',
    changes: changes as Change[],
  }
}

const codeOfChange = (change: object) => codeOf(() => parseOrder(orderText(orderOf(change))))

test('changes of peers, agreements and routes are read as they were written', () => {
  const order = orderOf(...Object.values(CHANGES))
  expect(parseOrder(orderText(order))).toEqual(order)
})

describe('is taken', () => {
  test.each<[string, object]>([
    ['a common name with spaces', { ...CHANGES.addNamed, name: 'Network server 13' }],
    ['a name of 253 characters', { ...CHANGES.addNamed, name: 'a'.repeat(253) }],
    ['a header of 64 characters', { ...CHANGES.tokenAdd, header: 'x'.repeat(64) }],
    ['a header with every character that a name may have', { ...CHANGES.tokenAdd, header: "!#$%&'*+.^_`|~09az-" }],
    ['one setting alone', { action: 'peer.set', ...NS, kekOnly: true }],
    ['one setting taken away', { action: 'peer.set', ...NS, asyncUrl: null }],
    ['all JoinEUIs', { ...CHANGES.agreementPrefix, joinEui: '0000000000000000', bits: 0 }],
    ['one JoinEUI', { ...CHANGES.agreementPrefix, joinEui: '70b3d57ed0000001', bits: 64 }],
    ['a URL of 512 characters', { ...CHANGES.route, url: `https://js.example/${'a'.repeat(493)}` }],
  ])('%s', (_name, change) => {
    expect(codeOfChange(change)).toBe('accepted')
  })
})

describe('is refused as malformed', () => {
  test.each<[string, keyof typeof CHANGES, object]>([
    ['a peer without certificate and CA', 'add', { ...CHANGES.add, certificate: undefined }],
    ['a certificate and a CA', 'addNamed', { ...CHANGES.addNamed, certificate: SHA256 }],
    ['a CA without a name', 'addNamed', { ...CHANGES.addNamed, name: undefined }],
    ['a name without a CA', 'add', { ...CHANGES.add, name: 'ns.example' }],
    ['a CA by a short digest', 'addNamed', { ...CHANGES.addNamed, authority: 'ab' }],
    ['a CA as null', 'addNamed', { ...CHANGES.addNamed, authority: null }],
    ['an empty name', 'addNamed', { ...CHANGES.addNamed, name: '' }],
    ['a name too long', 'addNamed', { ...CHANGES.addNamed, name: 'a'.repeat(254) }],
    ['a name that means a domain', 'addNamed', { ...CHANGES.addNamed, name: '.example' }],
    ['a wildcard', 'addNamed', { ...CHANGES.addNamed, name: '*.example' }],
    ['a wildcard inside', 'addNamed', { ...CHANGES.addNamed, name: 'ns*.example' }],
    ['a name that ends in a space', 'addNamed', { ...CHANGES.addNamed, name: 'ns ' }],
    ['a name with two spaces', 'addNamed', { ...CHANGES.addNamed, name: 'ns  13' }],
    ['a name with a NUL', 'addNamed', { ...CHANGES.addNamed, name: 'ns.example\u0000.evil' }],
    ['a name beyond ASCII', 'addNamed', { ...CHANGES.addNamed, name: 'tür.example' }],
    ['a short NSID', 'add', { ...CHANGES.add, nsId: '0011' }],
    ['null where nothing is to be taken away', 'add', { ...CHANGES.add, nsId: null }],
    ['a dialect in capitals', 'add', { ...CHANGES.add, dialect: 'Helium' }],
    ['a dialect with a space', 'add', { ...CHANGES.add, dialect: 'chirpstack 4' }],
    ['a dialect too long', 'add', { ...CHANGES.add, dialect: 'a'.repeat(33) }],
    ['an empty dialect', 'add', { ...CHANGES.add, dialect: '' }],
    ['a URL without TLS', 'add', { ...CHANGES.add, asyncUrl: 'http://ns.example/' }],
    ['a URL of another scheme', 'add', { ...CHANGES.add, asyncUrl: 'file:///etc/passwd' }],
    ['a scheme in capitals', 'add', { ...CHANGES.add, asyncUrl: 'HTTPS://ns.example/' }],
    ['a URL without slashes', 'add', { ...CHANGES.add, asyncUrl: 'https:ns.example' }],
    ['a URL without a host', 'add', { ...CHANGES.add, asyncUrl: 'https://' }],
    ['a URL with a password', 'add', { ...CHANGES.add, asyncUrl: 'https://user:secret@ns.example/' }],
    ['a URL with a user', 'add', { ...CHANGES.add, asyncUrl: 'https://user@ns.example/' }],
    ['a URL with a fragment', 'add', { ...CHANGES.add, asyncUrl: 'https://ns.example/#x' }],
    ['a URL with an empty fragment', 'add', { ...CHANGES.add, asyncUrl: 'https://ns.example/#' }],
    ['a URL with a space', 'add', { ...CHANGES.add, asyncUrl: 'https://ns.example/a b' }],
    ['a URL with a line feed', 'add', { ...CHANGES.add, asyncUrl: 'https://ns.example/\n' }],
    ['a URL with a backslash', 'add', { ...CHANGES.add, asyncUrl: 'https://ns.example\\@js.example/' }],
    ['a URL beyond ASCII', 'add', { ...CHANGES.add, asyncUrl: 'https://tür.example/' }],
    ['a URL too long', 'add', { ...CHANGES.add, asyncUrl: `https://ns.example/${'a'.repeat(494)}` }],
    ['a flag as text', 'add', { ...CHANGES.add, kekOnly: 'yes' }],
    ['a dialect of an application server', 'addAs', { ...CHANGES.addAs, dialect: 'helium' }],
    ['an NSID of an application server', 'addAs', { ...CHANGES.addAs, nsId: SETTINGS.nsId }],
    ['a URL of an application server', 'addAs', { ...CHANGES.addAs, asyncUrl: SETTINGS.asyncUrl }],
    ['KEKs only for an application server', 'addAs', { ...CHANGES.addAs, kekOnly: true }],
    ['no setting', 'set', { action: 'peer.set', ...NS }],
    ['a protocol taken away', 'set', { ...CHANGES.set, protocol: null }],
    ['an unknown protocol', 'set', { ...CHANGES.set, protocol: '1.2' }],
    ['an unknown setting', 'set', { ...CHANGES.set, paths: ['/'] }],
    ['a certificate among the settings', 'set', { ...CHANGES.set, certificate: SHA256 }],
    ['a setting of network servers taken away', 'setAs', { ...CHANGES.setAs, dialect: null }],
    ['a NetID that is none', 'set', { ...CHANGES.set, id: 'door-sensors' }],
    ['a certificate by a short digest', 'certificateAdd', { ...CHANGES.certificateAdd, certificate: 'ab' }],
    ['a certificate in capitals', 'certificateAdd', { ...CHANGES.certificateAdd, certificate: 'AB'.repeat(32) }],
    ['no certificate', 'certificateRemove', { action: 'peer.certificate.remove', ...AS }],
    ['a certificate and a token', 'addToken', { ...CHANGES.addToken, certificate: SHA256 }],
    ['a CA and a token', 'addToken', { ...CHANGES.addToken, authority: SHA256, name: 'ns.example' }],
    ['a name beside a token', 'addToken', { ...CHANGES.addToken, name: 'ns.example' }],
    ['a token of a new peer without a header', 'addToken', { ...CHANGES.addToken, header: undefined }],
    ['a header without a token', 'add', { ...CHANGES.add, header: 'authorization' }],
    ['a token without a header', 'tokenAdd', { ...CHANGES.tokenAdd, header: undefined }],
    ['a token itself in place of its digest', 'tokenAdd', { ...CHANGES.tokenAdd, token: `mortise_${'A'.repeat(43)}` }],
    ['a token in capitals', 'tokenAdd', { ...CHANGES.tokenAdd, token: 'AB'.repeat(32) }],
    ['an empty header', 'tokenAdd', { ...CHANGES.tokenAdd, header: '' }],
    ['a header in capitals', 'tokenAdd', { ...CHANGES.tokenAdd, header: 'Authorization' }],
    ['a header with its colon', 'tokenAdd', { ...CHANGES.tokenAdd, header: 'x-join-server:' }],
    ['a header with a space', 'tokenAdd', { ...CHANGES.tokenAdd, header: 'x join' }],
    ['a header with a line feed', 'tokenAdd', { ...CHANGES.tokenAdd, header: 'x\ny' }],
    ['a header beyond ASCII', 'tokenAdd', { ...CHANGES.tokenAdd, header: 'tür' }],
    ['a header too long', 'tokenAdd', { ...CHANGES.tokenAdd, header: 'x'.repeat(65) }],
    ['a header of a token to remove', 'tokenRemove', { ...CHANGES.tokenRemove, header: 'authorization' }],
    ['no token', 'tokenRemove', { action: 'peer.token.remove', ...AS }],
    ['a token among the settings', 'set', { ...CHANGES.set, token: SHA256 }],
    ['an agreement with an application server', 'agreementDevice', { ...CHANGES.agreementDevice, ...AS }],
    ['an agreement for nothing', 'agreementDevice', { action: 'agreement.add', ...NS }],
    ['an agreement for a device and JoinEUIs', 'agreementDevice', { ...CHANGES.agreementDevice, ...PREFIX }],
    ['a prefix without its length', 'agreementPrefix', { ...CHANGES.agreementPrefix, bits: undefined }],
    ['a 1 behind the prefix', 'agreementPrefix', { ...CHANGES.agreementPrefix, bits: 8 }],
    ['a prefix of 65 bits', 'agreementPrefix', { ...CHANGES.agreementPrefix, bits: 65 }],
    ['a prefix of -1 bits', 'agreementPrefix', { ...CHANGES.agreementPrefix, bits: -1 }],
    ['half a bit', 'agreementPrefix', { ...CHANGES.agreementPrefix, bits: 40.5 }],
    ['a prefix in capitals', 'agreementPrefix', { ...CHANGES.agreementPrefix, joinEui: '70B3D57ED0000000' }],
    ['a short route id', 'route', { ...CHANGES.route, route: 'ab' }],
    ['a route without TLS', 'route', { ...CHANGES.route, url: 'http://js.example/' }],
    ['a route without a CA', 'route', { ...CHANGES.route, authority: undefined }],
    ['a route without a certificate', 'route', { ...CHANGES.route, certificate: undefined }],
    ['a route of an unknown protocol', 'route', { ...CHANGES.route, protocol: '2.0' }],
    ['a route to remove without its prefix', 'routeRemove', { action: 'route.remove', route: ID }],
    ['another word', 'disable', { ...CHANGES.disable, action: 'peer.enable' }],
    ['an agreement to set', 'agreementDevice', { ...CHANGES.agreementDevice, action: 'agreement.set' }],
  ])('%s', (_name, twin, change) => {
    expect(codeOfChange(change)).toBe('order_malformed')
    expect(codeOfChange(CHANGES[twin])).toBe('accepted')
  })
})
