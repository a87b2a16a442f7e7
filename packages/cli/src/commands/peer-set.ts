import type { PeerSet } from '@mortise/hsm'
import type { NetId } from '@mortise/lorawan'
import { parseNsId } from '@mortise/lorawan'
import type { PeerView } from '@mortise/server'
import type { Command } from 'commander'
import { openAdministration } from '../administration.ts'
import { usageError } from '../errors.ts'
import { asIdOption, netIdOption } from '../identifiers.ts'
import { openOperator } from '../operator.ts'
import { examples, type ServerOptions, withServer } from '../options.ts'
import { OrderDesk, outcome } from '../orders.ts'
import { report, warn } from '../output.ts'
import { findPeer } from '../peers/find-peer.ts'
import { kekWarnings } from '../peers/kek-notes.ts'
import {
  changedSettings,
  type SettingOptions,
  type Settings,
  withProtocol,
  withRemovableSettings,
} from '../peers/settings.ts'

interface SetNsOptions extends ServerOptions, SettingOptions {
  readonly netId: NetId
}

interface SetAsOptions extends ServerOptions, Pick<SettingOptions, 'protocol'> {
  readonly asId: string
}

export function registerSet(peer: Command): void {
  const set = peer.command('set').description('change how a peer is talked to')
  examples(set, 'mortise peer set ns --net-id 000013 --dialect chirpstack-4')
  const ns = set.command('ns').requiredOption('--net-id <netid>', 'its NetID, 6 hex digits', netIdOption)
  withRemovableSettings(withServer(ns))
    .description('change the settings that are given, and leave the others')
    .action(setNs)
  examples(
    ns,
    'mortise peer set ns --net-id 000013 --dialect chirpstack-4',
    'mortise peer set ns --net-id 000013 --async-url https://ns.example.com/answers --kek-only',
    'mortise peer set ns --net-id 000013 --no-async-url --no-kek-only',
  )
  const as = set.command('as').requiredOption('--as-id <id>', 'its AS-ID', asIdOption)
  withProtocol(withServer(as)).description('change the protocol of an application server').action(setAs)
  examples(as, 'mortise peer set as --as-id door-app --protocol 1.1')
}

async function setNs(options: SetNsOptions): Promise<void> {
  const { nsId, protocol, dialect, asyncUrl, kekOnly } = options
  if ([nsId, protocol, dialect, asyncUrl, kekOnly].every((option) => option === undefined))
    throw usageError('there is nothing to change', 'see `mortise peer set ns --help`')
  const operator = openOperator(options)
  await using administration = await openAdministration(options)
  const peer = findPeer(await administration.listPeers(), `ns:${options.netId}`)
  const settings = changedSettings(settingsOf(peer), options)
  const order = await new OrderDesk(administration, operator).submit([changeOf(peer, settings)])
  report(
    options,
    { ...order, peerId: peer.peerId, kind: peer.kind, id: peer.id, ...settings },
    () =>
      `Network server ${peer.id} speaks ${settings.dialect}, Backend Interfaces ${settings.protocol}. ` +
      outcome(order, administration),
  )
  for (const warning of await kekWarnings(administration, peer.id, settings)) warn(warning)
}

async function setAs(options: SetAsOptions): Promise<void> {
  const { protocol } = options
  if (protocol === undefined) throw usageError('there is nothing to change', 'say --protocol 1.0 or 1.1')
  const operator = openOperator(options)
  await using administration = await openAdministration(options)
  const { peerId, kind, id } = findPeer(await administration.listPeers(), `as:${options.asId}`)
  const desk = new OrderDesk(administration, operator)
  const order = await desk.submit([{ action: 'peer.set', peer: peerId, kind, id, protocol }])
  report(
    options,
    { ...order, peerId, kind, id, protocol },
    () => `Application server ${id} speaks Backend Interfaces ${protocol}. ${outcome(order, administration)}`,
  )
}

function settingsOf({ id, protocol, dialect, nsId, asyncUrl, kekOnly }: PeerView): Settings {
  if (dialect === undefined || kekOnly === undefined) throw usageError(`${id} is no network server`)
  return { protocol, dialect, nsId: nsId === undefined ? undefined : parseNsId(nsId), asyncUrl, kekOnly }
}

/** All of them, as the operator has seen them: an order says what holds after it. */
function changeOf({ peerId, kind, id }: PeerView, settings: Settings): PeerSet {
  const { protocol, dialect, nsId = null, asyncUrl = null, kekOnly } = settings
  return { action: 'peer.set', peer: peerId, kind, id, protocol, dialect, nsId, asyncUrl, kekOnly }
}
