import type { Command } from 'commander'
import { openAdministration } from '../administration.ts'
import { CliError } from '../errors.ts'
import { fingerprintOption } from '../identifiers.ts'
import { CreatedPaths } from '../init/created-paths.ts'
import { openOperator } from '../operator.ts'
import { examples, type ServerOptions, withServer } from '../options.ts'
import { OrderDesk, outcome } from '../orders.ts'
import { report } from '../output.ts'
import { type CertificateOptions, certificateOf, describeFiles, withCertificate } from '../peers/credentials.ts'
import { findPeer, PEER_ARGUMENT } from '../peers/find-peer.ts'
import { confirmDestruction } from '../terminal.ts'

interface RemoveOptions extends ServerOptions {
  readonly yes?: boolean
}

export function registerPeerCertificate(peer: Command): void {
  const certificate = peer.command('certificate').description('several certificates of a peer, while it changes them')
  examples(certificate, 'mortise peer certificate add 000013 --csr ./ns.csr')
  registerAdd(certificate)
  registerRemove(certificate)
}

function registerAdd(certificate: Command): void {
  const command = withCertificate(withServer(certificate.command('add')))
    .description('let a peer in with a further certificate; those that it has stay good')
    .argument('<peer>', PEER_ARGUMENT)
    .action(addCertificate)
  examples(
    command,
    'mortise peer certificate add 000013 --issue-certificate ./ns-2027',
    'mortise peer certificate add as:door-app --certificate new.pem',
  )
}

function registerRemove(certificate: Command): void {
  const command = withServer(certificate.command('remove'))
    .description('revoke a certificate of a peer, at once and on open connections too')
    .argument('<peer>', PEER_ARGUMENT)
    .argument('<fingerprint>', 'SHA-256 of the certificate: see `mortise peer show`', fingerprintOption)
    .option('--yes', 'do not ask')
    .action(removeCertificate)
  examples(command, `mortise peer certificate remove 000013 ${'3f'.repeat(32)}`)
}

/** Lets a peer in with a further certificate. */
export async function addCertificate(name: string, options: CertificateOptions): Promise<void> {
  const operator = openOperator(options)
  await using administration = await openAdministration(options)
  const { peerId, kind, id, certificates } = findPeer(await administration.listPeers(), name)
  using created = new CreatedPaths()
  const { pem, fingerprint, notAfter, files } = await certificateOf(id, options, created)
  const order = await new OrderDesk(administration, operator).submit(
    [{ action: 'peer.certificate.add', peer: peerId, kind, id, certificate: fingerprint }],
    { certificates: [pem], files: created },
  )
  created.keep()
  report(options, { ...order, peerId, kind, id, certificate: { fingerprint, notAfter }, files }, () =>
    [
      `${kind} ${id} is let in with certificate ${fingerprint.slice(0, 16)}… as well, valid until ` +
        `${notAfter.slice(0, 10)}. ${outcome(order, administration)}`,
      ...describeFiles(files, options),
      ...certificates.map(
        (older) =>
          `When the peer shows the new one: mortise peer certificate remove ${kind}:${id} ${older.fingerprint}`,
      ),
    ].join('\n'),
  )
}

async function removeCertificate(name: string, fingerprint: string, options: RemoveOptions): Promise<void> {
  const operator = openOperator(options)
  await using administration = await openAdministration(options)
  const { peerId, kind, id, certificates } = findPeer(await administration.listPeers(), name)
  if (!certificates.some((certificate) => certificate.fingerprint === fingerprint))
    throw new CliError('certificate_unknown', `${kind} ${id} has no certificate ${fingerprint}`, {
      hint: `see \`mortise peer show ${kind}:${id}\``,
    })
  await confirmDestruction(options.yes, `Revoke certificate ${fingerprint.slice(0, 16)}… of ${kind} ${id}?`)
  const desk = new OrderDesk(administration, operator)
  const order = await desk.submit([
    { action: 'peer.certificate.remove', peer: peerId, kind, id, certificate: fingerprint },
  ])
  report(
    options,
    { ...order, peerId, kind, id, certificate: { fingerprint } },
    () => `Certificate ${fingerprint.slice(0, 16)}… of ${kind} ${id} is revoked. ${outcome(order, administration)}`,
  )
}
