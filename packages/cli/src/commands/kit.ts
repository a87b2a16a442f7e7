import { type Command, InvalidArgumentError } from 'commander'
import { type DevEui, type JoinEui, type JoinEuiPrefix, type NetId, parseJoinEuiPrefix } from '@mortise/lorawan'
import type { PeerView } from '@mortise/server'
import { type OpenAdministration, openAdministration } from '../administration.ts'
import { CliError } from '../errors.ts'
import { requireParent } from '../files.ts'
import { devEuiOption, joinEuiOption, netIdOption, httpsUrlOption } from '../identifiers.ts'
import { CreatedPaths } from '../init/created-paths.ts'
import { describeCheck, isWrong } from '../kit/check.ts'
import { type KitCertificate, putCertificate, putListenerCertificate } from '../kit/kit-credentials.ts'
import type { KitKind } from '../kit/manifest.ts'
import { planKit } from '../kit/plan-kit.ts'
import { testKit } from '../kit/run-checks.ts'
import { certificateDirectory, writeKit } from '../kit/write-kit.ts'
import { openOperator } from '../operator.ts'
import { asPath, type DataOptions, examples, parsedBy, type ServerOptions, withJson } from '../options.ts'
import { OrderDesk, outcome } from '../orders.ts'
import { counted, report, warn } from '../output.ts'
import { findPeer } from '../peers/find-peer.ts'

interface KitOptions extends DataOptions {
  readonly ns: NetId
  readonly out: string
  readonly url?: string
  readonly certificate?: string
  readonly joinEui?: readonly JoinEuiPrefix[]
  readonly apiUrl?: string
  readonly apiKeyFile?: string
  readonly operatorKeyFile?: string
  readonly caFile?: string
  readonly caKeyFile?: string
}

interface KitTestOptions {
  readonly kit: string
  readonly url?: string
  readonly netId?: NetId
  readonly device?: DevEui
  readonly joinEui?: JoinEui
  readonly json?: boolean
}

const PROGRAMS: readonly { readonly kind: KitKind; readonly name: string }[] = [
  { kind: 'chirpstack', name: 'ChirpStack v4' },
  { kind: 'the-things-stack', name: 'The Things Stack v3' },
]

export function registerKit(program: Command): void {
  const kit = program.command('kit').description('what the operator of a network server needs, and a test of it')
  examples(kit, 'mortise kit chirpstack --ns 000013 --out ./kit', 'mortise kit test --kit ./kit')
  for (const { kind, name } of PROGRAMS) registerWrite(kit, kind, name)
  registerTest(kit)
}

function registerWrite(kit: Command, kind: KitKind, name: string): void {
  const command = withJson(kit.command(kind))
    .description(`write the configuration, certificates and instructions for ${name}`)
    .requiredOption('--ns <netid>', 'network server, a peer', netIdOption)
    .requiredOption('--out <dir>', 'where the kit goes', asPath)
    .option('--url <url>', 'where network servers reach this join server (default: its name and port)')
    .option(
      '--certificate <dir>',
      'cert.pem, key.pem and ca.pem of the peer (default: a further one is issued)',
      asPath,
    )
    .option('--join-eui <prefix/bits>', 'JoinEUIs, repeatable (default: those of its devices)', collectPrefixes)
    .option('--api-url <url>', 'management API of a server elsewhere, such as https://js.example:8444')
    .option('--api-key-file <file>', 'API key (default: api-key beside the operator key)', asPath)
    .option('--operator-key-file <file>', 'operator key (default: DIR/operator/operator-key.pem)', asPath)
    .option('--ca-file <file>', 'CA of the installation (default: DIR/ca.pem)', asPath)
    .option('--ca-key-file <file>', 'key of the CA (default: ca-key.pem beside the operator key)', asPath)
    .action((options: KitOptions) => write(kind, options))
  examples(
    command,
    `mortise kit ${kind} --ns 000013 --out ./kit`,
    `mortise kit ${kind} --ns 000013 --out ./kit --url https://js.example.com:7009 --join-eui 70b3d57ed0000000/40`,
  )
}

const prefixOption = parsedBy(parseJoinEuiPrefix, 'a prefix of JoinEUIs such as 70b3d57ed0000000/40')

function collectPrefixes(text: string, before: readonly JoinEuiPrefix[] | undefined): readonly JoinEuiPrefix[] {
  const prefix = prefixOption(text)
  const isTwice = before?.some(({ joinEui, bits }) => joinEui === prefix.joinEui && bits === prefix.bits)
  if (isTwice === true) throw new InvalidArgumentError('It is given twice.')
  return [...(before ?? []), prefix]
}

async function write(kind: KitKind, options: KitOptions): Promise<void> {
  const { ns, out, url, apiUrl } = options
  requireParent(out)
  const server = serverOptions(options)
  await using administration = await openAdministration(server)
  const peer = findPeer(await administration.listPeers(), `ns:${ns}`)
  const data = apiUrl === undefined ? options.data : undefined
  const plan = await planKit(administration, peer, ns, { kind, url, joinEuis: options.joinEui, data })
  using created = new CreatedPaths()
  const issuer = { ...server, ...pick(options, 'caKeyFile') }
  const place = certificateDirectory(out, plan.manifest)
  const certificate = await putCertificate(created, place, peer, options.certificate, issuer)
  const { asyncUrl } = plan.manifest
  const listener = asyncUrl === undefined ? [] : await putListenerCertificate(created, place, asyncUrl, issuer)
  const kit = writeKit(created, out, { ...plan, certificateUntil: certificate.notAfter })
  const effect = certificate.isNew ? await letIn(server, administration, peer, certificate, created) : undefined
  created.keep()
  plan.warnings.forEach(warn)
  const files = [...kit, ...certificate.files, ...listener]
  report(options, { ...plan.manifest, joinEuis: plan.joinEuis, files, warnings: plan.warnings }, () =>
    [
      `The kit for ${ns} is in ${out}; README.md says what to do with it.`,
      ...(effect === undefined ? [] : [`The peer is let in with a further certificate. ${effect}`]),
      'Give it to the operator of the network server on a way that nobody else can read: it has a private key.',
      `Try it: mortise kit test --kit ${out}`,
    ].join('\n'),
  )
}

/** Returns a sentence about what became of the order. */
async function letIn(
  options: ServerOptions,
  administration: OpenAdministration,
  { peerId, kind, id }: PeerView,
  { pem, fingerprint }: KitCertificate,
  files: CreatedPaths,
): Promise<string> {
  const order = await new OrderDesk(administration, openOperator(options)).submit(
    [{ action: 'peer.certificate.add', peer: peerId, kind, id, certificate: fingerprint }],
    { certificates: [pem], files },
  )
  return outcome(order, administration)
}

/** `--url` is where network servers ask; the management API has an option of another name here. */
function serverOptions(options: KitOptions): ServerOptions {
  const { data, apiUrl } = options
  return {
    data,
    ...(apiUrl !== undefined && { url: apiUrl }),
    ...pick(options, 'apiKeyFile'),
    ...pick(options, 'operatorKeyFile'),
    ...pick(options, 'caFile'),
  }
}

function pick<Name extends keyof KitOptions>(options: KitOptions, name: Name): Pick<KitOptions, Name> | object {
  return options[name] === undefined ? {} : { [name]: options[name] }
}

function registerTest(kit: Command): void {
  const command = kit
    .command('test')
    .description('play the network server with the files of a kit: what is wrong, and how to mend it')
    .requiredOption('--kit <dir>', 'directory that `mortise kit` wrote, as it is now', asPath)
    .option('--url <url>', 'join server, https (default: the one of the configuration)', httpsUrlOption)
    .option('--net-id <netid>', 'NetID of the network server (default: the one of the kit)', netIdOption)
    .option('--device <eui>', 'ask for this device, by its DevEUI; uses up nothing', devEuiOption)
    .option('--join-eui <eui>', 'JoinEUI of the device, 16 hexadecimal digits', joinEuiOption)
    .option('--json', 'print JSON for programs')
    .action(test)
  examples(
    command,
    'mortise kit test --kit ./kit',
    'mortise kit test --kit ./kit --url https://js.example.com:7009 --device 70b3d57ed0061a01',
  )
}

/** @throws CliError kit_faulty: exit code 1 */
async function test({ kit, url, netId, device, joinEui, json }: KitTestOptions): Promise<void> {
  const checks = await testKit({ kit, url, netId, device, joinEui, now: Date.now })
  const faults = checks.filter(isWrong).length
  report({ ...(json !== undefined && { json }) }, { ok: faults === 0, checks }, () =>
    checks.map(describeCheck).join('\n'),
  )
  if (faults > 0)
    throw new CliError('kit_faulty', `${counted(faults, 'thing')} must be mended`, {
      hint: 'the first one may be the cause of others',
    })
}
