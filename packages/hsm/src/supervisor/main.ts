import { parseArgs } from 'node:util'
import { HsmError } from '../errors.ts'
import { SecretFileError } from '../secret-file.ts'
import { serveHsm } from './serve.ts'

/** The supervisor as a process that `mortise serve` starts. Only file names and descriptors stand on its command line. */
async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      directory: { type: 'string' },
      'server-socket': { type: 'string' },
      'custodian-socket': { type: 'string' },
      'secret-file': { type: 'string' },
      workers: { type: 'string' },
      'parent-fd': { type: 'string' },
    },
  })
  await serveHsm({
    directory: required(values.directory),
    serverSocket: required(values['server-socket']),
    custodianSocket: required(values['custodian-socket']),
    secretFile: values['secret-file'],
    workers: values.workers === undefined ? undefined : Number(values.workers),
    parentFd: values['parent-fd'] === undefined ? undefined : Number(values['parent-fd']),
    log: (line) => process.stderr.write(`mortise hsm: ${line}\n`),
  })
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
  process.exitCode = 1
}
