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

interface AddNsOptions extends CredentialOptions, SettingOptions {
  readonly netId: NetId
}

interface AddAsOptions extends CredentialOptions, Pick<SettingOptions, 'protocol'> {
  readonly asId: string
}

/** All of a new peer but its id and what it is known by. */
type NewPeer = Omit<PeerAdd, 'action' | 'peer' | 'certificate' | 'authority' | 'name'>

const ID_BYTES = 16

export function registerAdd(peer: Command): void {
  const add = peer.command('add').description('let a network server or an application server in')
  examples(
    add,
    'mortise peer add ns --net-id 000013 --issue-certificate ./ns',
    'mortise peer add as --as-id door-app --issue-certificate ./as',
  )
  const ns = add.command('ns').requiredOption('--net-id <netid>', 'its NetID, 6 hex digits', netIdOption)
  withAuthority(withCertificate(withSettings(withServer(ns))))
    .description('let a network server in')
    .action(addNs)
  examples(
    ns,
    'mortise peer add ns --net-id 000013 --issue-certificate ./ns',
    'mortise peer add ns --net-id 000013 --dialect chirpstack-4 --csr ./ns.csr',
    'mortise peer add ns --net-id 000013 --ns-id 70b3d57ed0000001 --certificate ns.pem --kek-only',
    'mortise peer add ns --net-id 000013 --dialect the-things-stack --ca ca.pem --name ns.example.com',
  )
  const as = add.command('as').requiredOption('--as-id <id>', 'its AS-ID', asIdOption)
  withAuthority(withCertificate(withProtocol(withServer(as))))
    .description('let an application server in')
    .action(addAs)
  examples(as, 'mortise peer add as --as-id door-app --issue-certificate ./as')
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
  const { credential, name } = await credentialOf(peer.id, options, created)
  const { pem, fingerprint, notAfter, files } = credential
  const peerId = randomBytes(ID_BYTES).toString('hex')
  const knownBy = name === undefined ? { certificate: fingerprint } : { authority: fingerprint, name }
  const order = await new OrderDesk(administration, operator).submit(
    [{ action: 'peer.add', peer: peerId, ...peer, ...knownBy }],
    { certificates: [pem] },
  )
  created.keep()
  const shown = { fingerprint, notAfter }
  const facts = { ...order, peerId, ...peer, files }
  report(
    options,
    { ...facts, ...(name === undefined ? { certificate: shown } : { authority: { ...shown, name } }) },
    () =>
      [
        `${titleOf(peer)} is let in with ${name === undefined ? 'certificate' : `certificates for ${name} of CA`} ` +
          `${fingerprint.slice(0, 16)}…, valid until ${notAfter.slice(0, 10)}. ${outcome(order, administration)}`,
        ...describeFiles(files, options),
      ].join('\n'),
  )
}

/** What is to be done with the files that were written. */
export function describeFiles(files: readonly string[] | undefined, { csr }: CredentialOptions): string[] {
  if (files === undefined) return []
  const key = csr === undefined ? 'the key was written nowhere else' : 'its key has not left it'
  return [`Give its operator ${files.join(', ')}; ${key}.`]
}
