import { existsSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import type { Command } from 'commander'
import { hsmStatus, serveHsm } from '@mortise/hsm'
import { CliError, usageError } from '../errors.ts'
import { asPath, examples, integer, withData } from '../options.ts'

interface HsmServeOptions {
  readonly data: string
  readonly passphraseFile?: string
  readonly pinFile?: string
  readonly workers?: number
}

const MAX_WORKERS = 64

/** This file and what it imports run inside the trust boundary: nothing of the server is loaded there. */
export function registerHsm(program: Command): void {
  const hsm = program.command('hsm').description('the trust boundary')
  const command = withData(hsm.command('serve'))
    .description('run the HSM process, apart from the server')
    .option('--passphrase-file <file>', 'passphrase of the soft HSM (default: waits for `mortise unseal`)', asPath)
    .option('--pin-file <file>', 'PIN of the PKCS#11 token (default: waits for `mortise unseal`)', asPath)
    .option('--workers <n>', 'workers (default: one less than the cores, at most 4)', integer(1, MAX_WORKERS))
    .action(serve)
  examples(
    command,
    'mortise hsm serve --data ./js --passphrase-file ./passphrase',
    'mortise serve --data ./js --hsm-socket ./js/run/server.sock   # the server, in another terminal',
  )
  examples(hsm, 'mortise hsm serve --data ./js')
}

async function serve({ data, passphraseFile, pinFile, workers }: HsmServeOptions): Promise<void> {
  if (passphraseFile !== undefined && pinFile !== undefined)
    throw usageError('--passphrase-file opens a soft HSM and --pin-file a token: give one of them')
  const directory = join(data, 'hsm')
  if (!existsSync(directory))
    throw new CliError('no_installation', `there is no HSM in ${data}`, { hint: `mortise init --data ${data}` })
  const run = join(data, 'run')
  mkdirSync(run, { recursive: true, mode: 0o700 })
  const custodianSocket = join(run, 'custodian.sock')
  await refuseSecond(custodianSocket)
  // The first signal stops it in order; further ones must not cut that short.
  const alreadyStopping = (): void => undefined
  process.on('SIGINT', alreadyStopping).on('SIGTERM', alreadyStopping)
  await serveHsm({
    directory,
    serverSocket: join(run, 'server.sock'),
    custodianSocket,
    workers,
    secretFile: passphraseFile ?? pinFile,
    secretKind: passphraseFile !== undefined ? 'passphrase' : pinFile !== undefined ? 'pin' : undefined,
    parentFd: undefined,
    log: (line) => process.stderr.write(`mortise hsm: ${line}\n`),
  })
}

/** Said before the directory's lock says it, with a hint. */
async function refuseSecond(custodianSocket: string): Promise<void> {
  try {
    await hsmStatus(custodianSocket)
  } catch {
    return
  }
  throw new CliError('hsm_running', 'an HSM process serves this directory already', {
    hint: 'stop it first; `mortise serve` without --hsm-socket starts one of its own',
  })
}
