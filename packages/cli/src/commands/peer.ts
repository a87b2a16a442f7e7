import { randomBytes, X509Certificate } from 'node:crypto'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { type Command, Option } from 'commander'
import { readSecretFile } from '@mortise/hsm'
import type { NetId, NsId } from '@mortise/lorawan'
import { dataDirectory, type PeerView } from '@mortise/server'
import { openAdministration } from '../administration.ts'
import { certificateFingerprint, issueClientCertificate } from '../certificates.ts'
import { CliError, usageError } from '../errors.ts'
import { readTextFile, requireParent } from '../files.ts'
import { asIdOption, netIdOption, nsIdOption } from '../identifiers.ts'
import { CreatedPaths } from '../init/created-paths.ts'
import { openOperator, operatorFiles } from '../operator.ts'
import { asPath, examples, type ServerOptions, withServer } from '../options.ts'
import { OrderDesk, outcome } from '../orders.ts'
import { report, table } from '../output.ts'
import { confirmDestruction } from '../terminal.ts'

interface PeerAddOptions extends ServerOptions {
  readonly netId?: NetId
  readonly asId?: string
  readonly nsId?: NsId
  readonly protocol?: '1.0' | '1.1'
  readonly issueCertificate?: string
  readonly certificate?: string
  readonly caKeyFile?: string
}

interface PeerChangeOptions extends ServerOptions {
  readonly yes?: boolean
}

const ID_BYTES = 16

export function registerPeer(program: Command): void {
  const peer = program.command('peer').description('network servers and application servers that may call')
  examples(peer, 'mortise peer add ns --net-id 000013 --issue-certificate ./ns', 'mortise peer list')
  const add = peer.command('add').description('let a network server or an application server in')
  examples(
    add,
    'mortise peer add ns --net-id 000013 --issue-certificate ./ns',
    'mortise peer add as --as-id door-app --issue-certificate ./as',
  )
  registerAddNs(add)
  registerAddAs(add)
  registerList(peer)
  registerShow(peer)
  registerChange(peer, 'disable', 'let a peer in no more, but keep it in the list')
  registerChange(peer, 'remove', 'forget a peer')
}

function withCertificate(command: Command): Command {
  return withServer(command)
    .addOption(
      new Option('--protocol <version>', 'Backend Interfaces (default: 1.0, or 1.1 with --ns-id)').choices([
        '1.0',
        '1.1',
      ]),
    )
    .option('--issue-certificate <outdir>', 'issue one: cert.pem, key.pem and ca.pem go to this directory', asPath)
    .option('--certificate <file>', 'client certificate that the peer has already (PEM)', asPath)
    .option('--ca-key-file <file>', 'key of the CA (default: ca-key.pem beside the operator key)', asPath)
}

function registerAddNs(add: Command): void {
  const command = withCertificate(add.command('ns'))
    .description('let a network server in')
    .requiredOption('--net-id <netid>', 'its NetID, 6 hex digits', netIdOption)
    .option('--ns-id <eui64>', 'its NSID (Backend Interfaces 1.1), 16 hex digits', nsIdOption)
    .action((options: PeerAddOptions) => addPeer('ns', options))
  examples(
    command,
    'mortise peer add ns --net-id 000013 --issue-certificate ./ns',
    'mortise peer add ns --net-id 000013 --ns-id 70b3d57ed0000001 --protocol 1.1 --certificate ns.pem',
  )
}

function registerAddAs(add: Command): void {
  const command = withCertificate(add.command('as'))
    .description('let an application server in')
    .requiredOption('--as-id <id>', 'its AS-ID', asIdOption)
    .action((options: PeerAddOptions) => addPeer('as', options))
  examples(command, 'mortise peer add as --as-id door-app --issue-certificate ./as')
}

async function addPeer(kind: 'ns' | 'as', options: PeerAddOptions): Promise<void> {
  const { netId, asId, nsId } = options
  const protocol = options.protocol ?? (nsId === undefined ? '1.0' : '1.1')
  const id = netId ?? asId ?? ''
  if (nsId !== undefined && protocol === '1.0') throw usageError('an NSID belongs to --protocol 1.1')
  const operator = openOperator(options)
  await using administration = await openAdministration(options)
  using created = new CreatedPaths()
  const certificate = await certificateFor(id, options, created)
  const peerId = randomBytes(ID_BYTES).toString('hex')
  const fingerprint = certificateFingerprint(certificate.pem)
  const order = await new OrderDesk(administration, operator).submit(
    [
      {
        action: 'peer.add',
        peer: peerId,
        ...{ kind, id, protocol, certificate: fingerprint },
        ...(nsId !== undefined && { nsId }),
      },
    ],
    { certificates: [certificate.pem] },
  )
  created.keep()
  const notAfter = new X509Certificate(certificate.pem).validToDate.toISOString()
  const facts = {
    ...order,
    peerId,
    kind,
    id,
    protocol,
    certificate: { fingerprint, notAfter },
    files: certificate.files,
  }
  report(options, facts, () =>
    [
      `${kind === 'ns' ? 'Network server' : 'Application server'} ${id} is let in with certificate ${fingerprint.slice(0, 16)}…, ` +
        `valid until ${notAfter.slice(0, 10)}. ${outcome(order, administration)}`,
      ...(certificate.files === undefined
        ? []
        : [`Give its operator ${certificate.files.join(', ')}; the key was written nowhere else.`]),
    ].join('\n'),
  )
}

interface PeerCertificate {
  readonly pem: string
  /** What was written, when it was issued here. */
  readonly files?: readonly string[]
}

async function certificateFor(id: string, options: PeerAddOptions, created: CreatedPaths): Promise<PeerCertificate> {
  const { issueCertificate: directory, certificate: file } = options
  if ((directory === undefined) === (file === undefined))
    throw usageError('give either --issue-certificate OUTDIR or --certificate FILE')
  if (directory !== undefined) return await issue(id, directory, options, created)
  return { pem: readPeerCertificate(file ?? '') }
}

async function issue(
  id: string,
  directory: string,
  options: PeerAddOptions,
  created: CreatedPaths,
): Promise<PeerCertificate> {
  const files = ['cert.pem', 'key.pem', 'ca.pem'].map((name) => join(directory, name))
  const present = files.find((path) => existsSync(path))
  if (present !== undefined)
    throw new CliError('file_exists', `${present} is there already`, { hint: 'name another directory' })
  const caFile = options.caFile ?? dataDirectory(options.data).caCertificate
  const ca = {
    certificate: readTextFile(caFile, 'the CA certificate', 'name the ca.pem of the installation with --ca-file'),
    privateKey: readSecretFile(
      options.caKeyFile ?? operatorFiles(options).caKey,
      'name the ca-key.pem that `mortise init` made with --ca-key-file, or give --certificate FILE',
    ).toString(),
  }
  requireParent(directory)
  const issued = await issueClientCertificate(ca, id)
  created.directory(directory)
  const contents = [issued.certificate, issued.privateKey, ca.certificate]
  files.forEach((path, index) => {
    created.file(path, contents[index] ?? '')
  })
  return { pem: issued.certificate, files }
}

/** Says at once what the listener would refuse later. */
function readPeerCertificate(path: string): string {
  const text = readTextFile(path, 'the certificate', 'it must be in PEM')
  let certificate: X509Certificate
  try {
    certificate = new X509Certificate(text)
  } catch (error) {
    throw new CliError('certificate_malformed', `${path} holds no certificate in PEM`, { cause: error })
  }
  if (certificate.validToDate.getTime() < Date.now())
    throw new CliError('certificate_expired', `${path} expired on ${certificate.validToDate.toISOString()}`, {
      hint: 'ask the peer for a new one',
    })
  return certificate.toString()
}

function registerList(peer: Command): void {
  const command = withServer(peer.command('list'))
    .description('list peers')
    .action(async (options: ServerOptions) => {
      await using administration = await openAdministration(options)
      const peers = await administration.listPeers()
      report(options, peers, () => {
        if (peers.length === 0) return 'No peer may call yet: see `mortise peer add --help`.'
        const rows = peers.map(({ kind, id, protocol, state, certificate }) => [
          kind,
          id,
          protocol,
          state,
          certificate.notAfter.slice(0, 10),
        ])
        return table(['KIND', 'ID', 'PROTOCOL', 'STATE', 'CERTIFICATE UNTIL'], rows)
      })
    })
  examples(command, 'mortise peer list', 'mortise peer list --json')
}

function registerShow(peer: Command): void {
  const command = withServer(peer.command('show'))
    .description('show a peer')
    .argument('<peer>', 'NetID, AS-ID or peer id; ns:ID or as:ID where both have it')
    .action(async (name: string, options: ServerOptions) => {
      await using administration = await openAdministration(options)
      const found = findPeer(await administration.listPeers(), name)
      report(options, found, () => describePeer(found))
    })
  examples(command, 'mortise peer show 000013', 'mortise peer show as:door-app')
}

function registerChange(peer: Command, word: 'disable' | 'remove', description: string): void {
  const command = withServer(peer.command(word))
    .description(description)
    .argument('<peer>', 'NetID, AS-ID or peer id; ns:ID or as:ID where both have it')
    .option('--yes', 'do not ask')
    .action(async (name: string, options: PeerChangeOptions) => {
      const operator = openOperator(options)
      await using administration = await openAdministration(options)
      const found = findPeer(await administration.listPeers(), name)
      await confirmDestruction(options.yes, `${word === 'disable' ? 'Disable' : 'Remove'} ${found.kind} ${found.id}?`)
      const desk = new OrderDesk(administration, operator)
      const order = await desk.submit([{ action: `peer.${word}`, peer: found.peerId, kind: found.kind, id: found.id }])
      const done = word === 'disable' ? 'is disabled' : 'is removed'
      report(
        options,
        { ...order, peerId: found.peerId },
        () => `${found.kind} ${found.id} ${done}. ${outcome(order, administration)}`,
      )
    })
  examples(command, `mortise peer ${word} 000013`)
}

/** @throws CliError peer_unknown, peer_ambiguous */
function findPeer(peers: readonly PeerView[], name: string): PeerView {
  const wanted = name.toLowerCase()
  const found = peers.filter(
    ({ peerId, kind, id }) =>
      peerId === wanted ||
      id === name ||
      `${kind}:${id}` === name ||
      (kind === 'ns' && [id, `ns:${id}`].includes(wanted)),
  )
  const [peer, other] = found
  if (peer === undefined)
    throw new CliError('peer_unknown', `there is no peer ${name}`, { hint: 'see `mortise peer list`' })
  if (other !== undefined)
    throw new CliError('peer_ambiguous', `${name} names more than one peer`, { hint: `say ns:${name} or as:${name}` })
  return peer
}

function describePeer({ peerId, kind, id, nsId, protocol, state, certificate, createdAt }: PeerView): string {
  return [
    `${kind === 'ns' ? 'Network server' : 'Application server'} ${id}: ${state}`,
    `  peer id      ${peerId}`,
    ...(nsId === undefined ? [] : [`  NSID         ${nsId}`]),
    `  protocol     Backend Interfaces ${protocol}`,
    `  certificate  ${certificate.subject}`,
    `               ${certificate.fingerprint}`,
    `               ${certificate.notBefore} to ${certificate.notAfter}`,
    `  added        ${createdAt}`,
  ].join('\n')
}
