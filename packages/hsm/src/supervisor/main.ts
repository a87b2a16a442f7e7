import { parseArgs } from 'node:util'
import { HsmError } from '../errors.ts'
import { SecretFileError } from '../secret-file.ts'
import { isRefusal, type SecretKind, serveHsm } from './serve.ts'

/** The other way to fail is 1, after which it may be started again. */
const EXIT_REFUSED = 2

/** The supervisor as a process that `mortise serve` starts. Only file names and descriptors stand on its command line. */
async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      directory: { type: 'string' },
      'server-socket': { type: 'string' },
      'custodian-socket': { type: 'string' },
      'secret-file': { type: 'string' },
      'secret-kind': { type: 'string' },
      workers: { type: 'string' },
      'parent-fd': { type: 'string' },
    },
  })
  await serveHsm({
    directory: required(values.directory),
    serverSocket: required(values['server-socket']),
    custodianSocket: required(values['custodian-socket']),
    secretFile: values['secret-file'],
    secretKind: secretKind(values['secret-kind']),
    workers: values.workers === undefined ? undefined : Number(values.workers),
    parentFd: values['parent-fd'] === undefined ? undefined : Number(values['parent-fd']),
    log: (line) => process.stderr.write(`mortise hsm: ${line}\n`),
  })
}

function secretKind(value: string | undefined): SecretKind | undefined {
  if (value === undefined || value === 'passphrase' || value === 'pin') return value
  throw new HsmError('token_failed', 'the kind of the secret is unknown')
}

function required(value: string | undefined): string {
  if (value === undefined) throw new HsmError('token_failed', 'an option is missing')
  return value
}

try {
  await main()
} catch (error) {
  const message = error instanceof Error ? error.message : 'unexpected failure'
  const hint = error instanceof SecretFileError ? `\nmortise hsm: hint: ${error.hint}` : ''
  process.stderr.write(`mortise hsm: error: ${message}${hint}\n`)
  process.exitCode = isRefusal(error) ? EXIT_REFUSED : 1
}
