import { dialectOf, isDialectName } from '@mortise/backend-interfaces'
import type { PeerAdd, PeerSet } from '@mortise/hsm'
import { parseNsId } from '@mortise/lorawan'
import type { PeerSettings } from '../storage/index.ts'
import { AdministrationError } from './errors.ts'

/** What is sent to a network server of which nothing better is known. */
const DEFAULT_SETTINGS: PeerSettings = {
  protocol: '1.0',
  dialect: 'standard-1.0',
  nsId: undefined,
  asyncUrl: undefined,
  kekOnly: false,
}

/** The settings of a new peer. @throws AdministrationError peer_settings_invalid */
export function newSettings(change: PeerAdd): PeerSettings {
  return changedSettings(DEFAULT_SETTINGS, { ...change, action: 'peer.set' })
}

/**
 * What an order makes of the settings: what it does not name stays, what it takes away is as it was at first.
 * @throws AdministrationError peer_settings_invalid when they do not go together
 */
export function changedSettings(current: PeerSettings, change: PeerSet): PeerSettings {
  const { protocol = current.protocol } = change
  const dialect = changed(current.dialect, change.dialect) ?? DEFAULT_SETTINGS.dialect
  const nsId = changed(current.nsId, change.nsId)
  const asyncUrl = changed(current.asyncUrl, change.asyncUrl)
  const kekOnly = changed(current.kekOnly, change.kekOnly) ?? DEFAULT_SETTINGS.kekOnly
  if (!isDialectName(dialect)) throw invalid(`there is no dialect ${dialect}`)
  const { protocolVersions, asynchronous } = dialectOf(dialect)
  if (!protocolVersions.includes(protocol)) throw invalid(`${dialect} does not speak Backend Interfaces ${protocol}`)
  if (nsId !== undefined && protocol === '1.0') throw invalid('Backend Interfaces 1.0 has no NSID')
  if (asyncUrl !== undefined && !asynchronous) throw invalid(`${dialect} takes no answers at a URL of its own`)
  return { protocol, dialect, nsId: nsId === undefined ? undefined : parseNsId(nsId), asyncUrl, kekOnly }
}

/** Absent: it stays. Null: it goes. */
function changed<T>(current: T | undefined, change: T | null | undefined): T | undefined {
  return change === undefined ? current : (change ?? undefined)
}

function invalid(detail: string): AdministrationError {
  return new AdministrationError('peer_settings_invalid', detail)
}
