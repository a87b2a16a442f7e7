import type { Command } from 'commander'
import { hsmStatus, readSecretLine, unseal as unsealHsm } from '@mortise/hsm'
import { dataDirectory } from '@mortise/server'
import { CliError, errorCode, usageError } from '../errors.ts'
import { asPath, type DataOptions, examples, withJson } from '../options.ts'
import { report } from '../output.ts'
import { isInteractive, promptSecret } from '../terminal.ts'

interface UnsealOptions extends DataOptions {
  readonly passphraseFile?: string
  readonly pinFile?: string
}

export function registerUnseal(program: Command): void {
  const command = withJson(program.command('unseal'))
    .description('open the sealed HSM with its passphrase or PIN')
    .option('--passphrase-file <file>', 'passphrase of the soft HSM (default: asked for)', asPath)
    .option('--pin-file <file>', 'PIN of the PKCS#11 token (default: asked for)', asPath)
    .action(unseal)
  examples(command, 'mortise unseal --data ./js', 'mortise unseal --data ./js --passphrase-file ./passphrase')
}

async function unseal(options: UnsealOptions): Promise<void> {
  const socket = dataDirectory(options.data).custodianSocket
  const before = await reach(() => hsmStatus(socket), options.data)
  if (before.state === 'unsealed') {
    tell(options, 'The HSM is open already.', true)
    return
  }
  const secret = await secretOf(options, before.backend)
  try {
    await reach(() => unsealHsm(socket, secret), options.data)
  } finally {
    secret.fill(0)
  }
  tell(options, 'The HSM is open.', false)
}

function tell(options: UnsealOptions, sentence: string, already: boolean): void {
  report(options, { state: 'unsealed', already }, () => sentence)
}

async function reach<T>(ask: () => Promise<T>, data: string): Promise<T> {
  try {
    return await ask()
  } catch (error) {
    if (!['ENOENT', 'ECONNREFUSED'].includes(errorCode(error) ?? '')) throw error
    throw new CliError('hsm_not_running', `no HSM process serves ${data}`, {
      hint: `start the server first: mortise serve --data ${data}`,
      cause: error,
    })
  }
}

async function secretOf(options: UnsealOptions, backend: 'soft' | 'pkcs11'): Promise<Buffer> {
  const { passphraseFile, pinFile } = options
  if (passphraseFile !== undefined && pinFile !== undefined)
    throw usageError('--passphrase-file opens a soft HSM and --pin-file a token: give one of them')
  const file = passphraseFile ?? pinFile
  // Unread: a passphrase would cost a token one of its few tries.
  if (file !== undefined && (backend === 'soft') !== (passphraseFile !== undefined))
    throw usageError(`this HSM takes ${backend === 'soft' ? '--passphrase-file' : '--pin-file'}`)
  if (file !== undefined) return readSecretLine(file, 'name the file that `mortise init` used')
  const what = backend === 'soft' ? 'passphrase' : 'PIN'
  if (isInteractive()) return await promptSecret(`${what[0]?.toUpperCase() ?? ''}${what.slice(1)}: `)
  throw new CliError('secret_missing', `there is no terminal to ask for the ${what}`, {
    hint: `give ${backend === 'soft' ? '--passphrase-file' : '--pin-file'} FILE`,
  })
}
