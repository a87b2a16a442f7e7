import { isIP } from 'node:net'
import { type Command, InvalidArgumentError, Option } from 'commander'
import { type BackendChoice, readSecretLine } from '@mortise/hsm'
import { dataDirectory, type DataDirectory } from '@mortise/server'
import { CliError, usageError } from '../errors.ts'
import {
  createInstallation,
  type Installation,
  type InstallationPlan,
  isDnsName,
  refuseExisting,
} from '../init/create-installation.ts'
import { asPath, type DataOptions, examples, repeated, withJson } from '../options.ts'
import { report } from '../output.ts'
import { confirmUnless, isInteractive, promptSecret } from '../terminal.ts'

interface InitOptions extends DataOptions {
  readonly hsm: 'soft' | 'pkcs11'
  readonly passphraseFile?: string
  readonly pkcs11Module?: string
  readonly pkcs11Token?: string
  readonly pinFile?: string
  readonly recoveryKeyFile?: string
  readonly serverName?: string[]
  readonly yes?: boolean
}

export function registerInit(program: Command): void {
  const command = withJson(program.command('init'))
    .description('make a new installation: HSM, database, certificates, operator key, API key')
    .addOption(new Option('--hsm <kind>', 'where the keys live').choices(['soft', 'pkcs11']).default('soft'))
    .option('--passphrase-file <file>', 'passphrase that seals the soft HSM (default: asked for)', asPath)
    .option('--pkcs11-module <file>', 'PKCS#11 library of the HSM', asPath)
    .option('--pkcs11-token <label>', 'label of the token')
    .option('--pin-file <file>', "the token's user PIN (default: asked for)", asPath)
    .option(
      '--recovery-key-file <file>',
      'where the key of the recovery file goes (default: DIR/operator/recovery-key)',
      asPath,
    )
    .option('--server-name <name>', 'further name or address of the server, repeatable', repeated(parseServerName))
    .option('--yes', 'do not ask before it begins')
    .action(init)
  examples(
    command,
    'mortise init --data /var/lib/mortise',
    'mortise init --data ./js --passphrase-file ./passphrase --server-name js.example',
    'mortise init --data ./js --hsm pkcs11 --pkcs11-module /usr/lib/softhsm/libsofthsm2.so \\',
    '    --pkcs11-token mortise --pin-file ./pin --recovery-key-file /media/usb/recovery-key',
  )
}

async function init(options: InitOptions): Promise<void> {
  const directory = dataDirectory(options.data)
  const where = {
    data: options.data,
    recoveryKeyFile: options.recoveryKeyFile ?? directory.operator.recoveryKey,
  }
  const backend = backendOf(options)
  refuseExisting(where)
  const secret = await secretOf(options)
  await confirmUnless(options.yes ?? options.json, `Make a new installation in ${options.data}?`)
  const plan: InstallationPlan = { ...where, backend, secret, serverNames: options.serverName ?? [] }
  const installation = await interruptible((signal) => createInstallation(plan, signal))
  tell(options, directory, plan, installation)
}

export function parseServerName(name: string): string {
  if (isIP(name) === 0 && !isDnsName(name)) throw new InvalidArgumentError('Expected a host name or an IP address.')
  return name
}

function backendOf(options: InitOptions): BackendChoice {
  const { pkcs11Module: module, pkcs11Token: tokenLabel } = options
  if (options.hsm === 'soft') {
    if (module !== undefined || tokenLabel !== undefined || options.pinFile !== undefined)
      throw usageError('--pkcs11-module, --pkcs11-token and --pin-file go with --hsm pkcs11')
    return { kind: 'soft' }
  }
  if (options.passphraseFile !== undefined) throw usageError('--passphrase-file goes with --hsm soft')
  if (module === undefined || tokenLabel === undefined)
    throw usageError('--hsm pkcs11 needs --pkcs11-module and --pkcs11-token')
  return { kind: 'pkcs11', module, tokenLabel }
}

async function secretOf(options: InitOptions): Promise<InstallationPlan['secret']> {
  const file = options.hsm === 'soft' ? options.passphraseFile : options.pinFile
  if (file !== undefined) {
    // Refused here, before anything is made; the HSM process reads it again.
    readSecretLine(
      file,
      options.hsm === 'soft'
        ? `make it with: (umask 077 && openssl rand -base64 24 > ${file})`
        : "write the token's user PIN into a file of mode 0600 and name it",
    ).fill(0)
    return { file }
  }
  if (isInteractive()) return { typed: options.hsm === 'soft' ? await newPassphrase() : await promptSecret('PIN: ') }
  const [what, option, name] =
    options.hsm === 'soft' ? ['passphrase', '--passphrase-file', 'passphrase'] : ['PIN', '--pin-file', 'pin']
  throw new CliError('secret_missing', `there is no terminal to ask for the ${what}, and no ${option}`, {
    hint:
      options.hsm === 'soft'
        ? `(umask 077 && openssl rand -base64 24 > ${name}) makes one: then give ${option} ${name}`
        : `write it into a file of mode 0600 and give ${option} FILE`,
  })
}

async function newPassphrase(): Promise<Buffer> {
  const first = await promptSecret('New passphrase of the HSM: ')
  if (first.length === 0) throw new CliError('secret_missing', 'an empty passphrase protects nothing')
  const second = await promptSecret('The same again: ')
  if (!first.equals(second)) throw new CliError('secret_mismatch', 'the two passphrases differ; nothing was made')
  return first
}

/** Control-C ends the ceremony and lets the command remove what it has made. */
async function interruptible<T>(work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const controller = new AbortController()
  const abort = (): void => {
    controller.abort()
  }
  process.on('SIGINT', abort).on('SIGTERM', abort)
  try {
    return await work(controller.signal)
  } finally {
    process.off('SIGINT', abort).off('SIGTERM', abort)
  }
}

function tell(
  options: InitOptions,
  directory: DataDirectory,
  plan: InstallationPlan,
  { hsmId, organisationId, serverNames }: Installation,
): void {
  const { operator } = directory
  const facts = {
    dataDirectory: options.data,
    hsmId,
    organisationId,
    backend: plan.backend.kind,
    serverNames,
    operatorDirectory: operator.root,
    operatorKeyFile: operator.operatorKey,
    apiKeyFile: operator.apiKey,
    caFile: directory.caCertificate,
    recoveryFile: directory.recoveryFile,
    recoveryKeyFile: plan.recoveryKeyFile,
  }
  const secretOption = plan.backend.kind === 'soft' ? '--passphrase-file' : '--pin-file'
  const secret = 'file' in plan.secret ? ` ${secretOption} ${plan.secret.file}` : ''
  const start = [
    `mortise serve --data ${options.data}${secret}`,
    ...('file' in plan.secret ? [] : [`mortise unseal --data ${options.data}`]),
  ]
  report(options, facts, () =>
    [
      `Mortise is set up in ${options.data}: HSM ${hsmId} (${plan.backend.kind}).`,
      '',
      `  ${directory.recoveryFile}  the storage keys, sealed: for a second HSM, or after a loss`,
      `  ${plan.recoveryKeyFile}  opens the recovery file`,
      `  ${operator.operatorKey}  signs every change of keys, recipients and peers`,
      `  ${operator.hsmFile}  the HSM to which keys are sealed: belongs beside the operator key`,
      `  ${operator.caKey}  issues certificates`,
      `  ${operator.apiKey}  lets commands reach the server from elsewhere`,
      `  ${directory.caCertificate}  the CA, for network servers and application servers (${serverNames.join(', ')})`,
      '',
      'Next:',
      `  1. Move ${plan.recoveryKeyFile} away from this machine, and keep a copy of`,
      `     ${directory.recoveryFile} elsewhere: together they replace the HSM.`,
      `  2. Move ${operator.root} to the operator's own machine before real devices come;`,
      '     commands then take --url and --operator-key-file. The server needs none of it.',
      `  3. Start it: ${start.join(', and in another terminal: ')}`,
      `  4. Let a network in: mortise peer add ns --data ${options.data} --net-id 000013 --issue-certificate ./ns`,
    ].join('\n'),
  )
}
