import { randomBytes } from 'node:crypto'
import type { PeerAdd } from '@mortise/hsm'
import type { NetId } from '@mortise/lorawan'
import type { Command } from 'commander'
import { openAdministration } from '../administration.ts'
import { asIdOption, netIdOption } from '../identifiers.ts'
import { CreatedPaths } from '../init/created-paths.ts'
import { openOperator } from '../operator.ts'
import { examples, withServer } from '../options.ts'
import { OrderDesk, outcome } from '../orders.ts'
import { report, warn } from '../output.ts'
import { type CredentialOptions, credentialOf, withAuthority, withCertificate } from '../peers/credentials.ts'
import { titleOf } from '../peers/describe-peer.ts'
import { kekWarnings } from '../peers/kek-notes.ts'
import { newSettings, type SettingOptions, withProtocol, withSettings } from '../peers/settings.ts'
import { withToken } from '../peers/tokens.ts'

interface AddNsOptions extends CredentialOptions, SettingOptions {
  readonly netId: NetId
}

interface AddAsOptions extends CredentialOptions, Pick<SettingOptions, 'protocol'> {
  readonly asId: string
}

/** All of a new peer but its id and what it is known by. */
type NewPeer = Omit<PeerAdd, 'action' | 'peer' | 'certificate' | 'authority' | 'name' | 'token' | 'header'>

const ID_BYTES = 16

export function registerAdd(peer: Command): void {
  const add = peer.command('add').description('let a network server or an application server in')
  examples(
    add,
    'mortise peer add ns --net-id 000013 --issue-certificate ./ns',
    'mortise peer add as --as-id door-app --issue-certificate ./as',
  )
  const ns = add.command('ns').requiredOption('--net-id <netid>', 'its NetID, 6 hex digits', netIdOption)
  withToken(withAuthority(withCertificate(withSettings(withServer(ns)))))
    .description('let a network server in')
    .action(addNs)
  examples(
    ns,
    'mortise peer add ns --net-id 000013 --issue-certificate ./ns',
    'mortise peer add ns --net-id 000013 --dialect chirpstack-4 --csr ./ns.csr',
    'mortise peer add ns --net-id 000013 --ns-id 70b3d57ed0000001 --certificate ns.pem --kek-only',
    'mortise peer add ns --net-id 000013 --dialect the-things-stack --ca ca.pem --name ns.example.com',
    'mortise peer add ns --net-id 000013 --dialect chirpstack-4 --token ./ns-000013.header',
    'mortise peer add ns --net-id 000013 --token ./ns-000013.header --token-as X-Join-Server-Token',
  )
  const as = add.command('as').requiredOption('--as-id <id>', 'its AS-ID', asIdOption)
  withToken(withAuthority(withCertificate(withProtocol(withServer(as)))))
    .description('let an application server in')
    .action(addAs)
  examples(
    as,
    'mortise peer add as --as-id door-app --issue-certificate ./as',
    'mortise peer add as --as-id door-app --token ./door-app.header --token-as basic',
  )
}

async function addNs(options: AddNsOptions): Promise<void> {
  const settings = newSettings(options)
  const { protocol, dialect, nsId, asyncUrl, kekOnly } = settings
  const peer: NewPeer = {
    ...{ kind: 'ns', id: options.netId, protocol, dialect, kekOnly },
    ...(nsId !== undefined && { nsId }),
    ...(asyncUrl !== undefined && { asyncUrl }),
  }
  await using administration = await openAdministration(options)
  await addPeer(peer, options, administration)
  for (const warning of await kekWarnings(administration, options.netId, settings)) warn(warning)
}

async function addAs(options: AddAsOptions): Promise<void> {
  await using administration = await openAdministration(options)
  await addPeer({ kind: 'as', id: options.asId, protocol: options.protocol ?? '1.0' }, options, administration)
}

async function addPeer(
  peer: NewPeer,
  options: CredentialOptions,
  administration: Awaited<ReturnType<typeof openAdministration>>,
): Promise<void> {
  const operator = openOperator(options)
  using created = new CreatedPaths()
  const { named, pems, facts, words, next } = await credentialOf(peer.id, options, created)
  const peerId = randomBytes(ID_BYTES).toString('hex')
  const desk = new OrderDesk(administration, operator)
  const order = await desk.submit([{ action: 'peer.add', peer: peerId, ...peer, ...named }], {
    ...{ certificates: pems, files: created },
  })
  created.keep()
  report(options, { ...order, peerId, ...peer, ...facts }, () =>
    [`${titleOf(peer)} is let in with ${words}. ${outcome(order, administration)}`, ...next].join('\n'),
  )
}
