import { EUI64_BITS, isJoinEuiPrefix, type JoinEuiPrefix, parseDevEui, parseJoinEui } from '@mortise/lorawan'
import type { Members } from '../members.ts'
import { convert, readKind, readRecipient } from './order-members.ts'
import {
  type AgreementScope,
  type DirectoryChange,
  isCertificateName,
  isOrderUrl,
  isTokenHeader,
  MAX_DIALECT_NAME_LENGTH,
  PEER_PROTOCOL_VERSIONS,
  type PeerAdd,
  type PeerProtocolVersion,
  type PeerReference,
  type PeerSet,
  type PeerSettings,
  type NamedToken,
} from './peer-changes.ts'

const ID_BYTES = 16
const EUI64_BYTES = 8
const SHA256_BYTES = 32

/** Reads a change that is none of keys. @throws HsmError order_malformed, with the member's name */
export function readDirectoryChange(action: string, members: Members): DirectoryChange {
  switch (action) {
    case 'peer.add':
      return readPeerAdd(members)
    case 'peer.set':
      return readPeerSet(members)
    case 'peer.disable':
    case 'peer.remove':
      return { action, ...readPeer(members) }
    case 'peer.certificate.add':
    case 'peer.certificate.remove':
      return { action, ...readPeer(members), certificate: members.hex('certificate', SHA256_BYTES) }
    case 'peer.token.add':
      return { action, ...readPeer(members), ...readToken(members) }
    case 'peer.token.remove':
      return { action, ...readPeer(members), token: members.hex('token', SHA256_BYTES) }
    case 'agreement.add':
    case 'agreement.remove': {
      const { peer, kind, id } = readPeer(members)
      return kind === 'ns' ? { action, peer, kind, id, ...readScope(members) } : members.fail('kind')
    }
    case 'route.add':
      return {
        action,
        route: members.hex('route', ID_BYTES),
        ...readPrefix(members),
        url: readUrl(members, 'url'),
        protocol: readProtocol(members),
        certificate: members.hex('certificate', SHA256_BYTES),
        authority: members.hex('authority', SHA256_BYTES),
      }
    case 'route.remove':
      return { action, route: members.hex('route', ID_BYTES), ...readPrefix(members) }
    default:
      return members.fail('action')
  }
}

function readPeer(members: Members): PeerReference {
  const kind = readKind(members)
  return { peer: members.hex('peer', ID_BYTES), kind, id: readRecipient(kind, members, 'id') }
}

function readPeerAdd(members: Members): PeerAdd {
  const peer = readPeer(members)
  return {
    action: 'peer.add',
    ...peer,
    ...readSettings(members, peer),
    protocol: readProtocol(members),
    ...readKnownBy(members),
  }
}

/** One of the three: the members of another are left over, and refused. */
function readKnownBy(members: Members): Pick<PeerAdd, 'certificate' | 'authority' | 'name' | 'token' | 'header'> {
  if (members.has('authority')) return { authority: members.hex('authority', SHA256_BYTES), name: readName(members) }
  if (members.has('token')) return readToken(members)
  return { certificate: members.hex('certificate', SHA256_BYTES) }
}

function readToken(members: Members): NamedToken {
  const token = members.hex('token', SHA256_BYTES)
  const header = members.text('header')
  return { token, header: isTokenHeader(header) ? header : members.fail('header') }
}

function readPeerSet(members: Members): PeerSet {
  const peer = readPeer(members)
  const removed = (['nsId', 'dialect', 'asyncUrl', 'kekOnly'] as const).filter((name) => members.takeNull(name))
  const settings = {
    ...(members.has('protocol') && { protocol: readProtocol(members) }),
    ...Object.fromEntries(removed.map((name) => [name, null])),
    ...readSettings(members, peer),
  }
  if (Object.keys(settings).length === 0) members.fail('no setting')
  if (removed.length > 0 && peer.kind === 'as') members.fail('kind')
  return { action: 'peer.set', ...peer, ...settings }
}

function readSettings(members: Members, { kind }: PeerReference): PeerSettings {
  const settings = {
    ...(members.has('nsId') && { nsId: members.hex('nsId', EUI64_BYTES) }),
    ...(members.has('dialect') && { dialect: readDialect(members) }),
    ...(members.has('asyncUrl') && { asyncUrl: readUrl(members, 'asyncUrl') }),
    ...(members.has('kekOnly') && { kekOnly: members.boolean('kekOnly') }),
  }
  // They say how to talk to a network server.
  if (kind === 'as' && Object.keys(settings).length > 0) members.fail('kind')
  return settings
}

function readProtocol(members: Members): PeerProtocolVersion {
  const text = members.text('protocol')
  return PEER_PROTOCOL_VERSIONS.find((version) => version === text) ?? members.fail('protocol')
}

function readDialect(members: Members): string {
  const name = members.text('dialect')
  return /^[a-z0-9.-]+$/.test(name) && name.length <= MAX_DIALECT_NAME_LENGTH ? name : members.fail('dialect')
}

function readUrl(members: Members, name: string): string {
  const text = members.text(name)
  return isOrderUrl(text) ? text : members.fail(name)
}

function readName(members: Members): string {
  const name = members.text('name')
  return isCertificateName(name) ? name : members.fail('name')
}

function readScope(members: Members): AgreementScope {
  if (members.has('devEui')) return { devEui: convert('devEui', members.text('devEui'), parseDevEui) }
  return readPrefix(members)
}

/** A prefix has one form: what is behind its bits is 0. */
function readPrefix(members: Members): JoinEuiPrefix {
  const joinEui = convert('joinEui', members.text('joinEui'), parseJoinEui)
  const prefix = { joinEui, bits: members.integer('bits', 0, EUI64_BITS) }
  return isJoinEuiPrefix(prefix) ? prefix : members.fail('bits')
}
