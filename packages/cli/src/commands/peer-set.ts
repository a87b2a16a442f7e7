import type { PeerSet } from '@mortise/hsm'
import type { NetId } from '@mortise/lorawan'
import { parseNsId } from '@mortise/lorawan'
import type { PeerView } from '@mortise/server'
import type { Command } from 'commander'
import { openAdministration } from '../administration.ts'
import { usageError } from '../errors.ts'
import { netIdOption } from '../identifiers.ts'
import { openOperator } from '../operator.ts'
import { examples, type ServerOptions, withServer } from '../options.ts'
import { OrderDesk, outcome } from '../orders.ts'
import { report, warn } from '../output.ts'
import { findPeer } from '../peers/find-peer.ts'
import { kekWarnings } from '../peers/kek-notes.ts'
import { changedSettings, type SettingOptions, type Settings, withRemovableSettings } from '../peers/settings.ts'

interface SetNsOptions extends ServerOptions, SettingOptions {
  readonly netId: NetId
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
}

async function setNs(options: SetNsOptions): Promise<void> {
  const { nsId, protocol, dialect, asyncUrl, kekOnly } = options
  if ([nsId, protocol, dialect, asyncUrl, kekOnly].every((option) => option === undefined))
    throw usageError('there is nothing to change', 'see `mortise peer set ns --help`')
  const operator = openOperator(options)
  await using administration = await openAdministration(options)
  const peer = findPeer(await administration.listPeers(), `ns:${options.netId}`)
  const settings = changedSettings(settingsOf(peer), options)
  const order = await new OrderDesk(administration, operator).submit([changeOf(peer, options, settings)])
  report(
    options,
    { ...order, peerId: peer.peerId, kind: peer.kind, id: peer.id, ...settings },
    () =>
      `Network server ${peer.id} speaks ${settings.dialect}, Backend Interfaces ${settings.protocol}. ` +
      outcome(order, administration),
  )
  for (const warning of await kekWarnings(administration, peer.id, settings)) warn(warning)
}

function settingsOf({ id, protocol, dialect, nsId, asyncUrl, kekOnly }: PeerView): Settings {
  if (dialect === undefined || kekOnly === undefined) throw usageError(`${id} is no network server`)
  return { protocol, dialect, nsId: nsId === undefined ? undefined : parseNsId(nsId), asyncUrl, kekOnly }
}

/** What the operator named, and no more: an order that waits may change the others meanwhile. */
function changeOf({ peerId, kind, id, protocol }: PeerView, options: SettingOptions, settings: Settings): PeerSet {
  const { nsId, dialect, asyncUrl, kekOnly } = options
  const changesProtocol = options.protocol !== undefined || settings.protocol !== protocol
  return {
    ...({ action: 'peer.set', peer: peerId, kind, id } as const),
    ...(changesProtocol && { protocol: settings.protocol }),
    ...(dialect !== undefined && { dialect }),
    ...(nsId !== undefined && { nsId: nsId === false ? null : nsId }),
    ...(asyncUrl !== undefined && { asyncUrl: asyncUrl === false ? null : asyncUrl }),
    ...(kekOnly !== undefined && { kekOnly }),
  }
}
