import { existsSync } from 'node:fs'
import type { Command } from 'commander'
import { hsmStatus, type SupervisorStatus } from '@mortise/hsm'
import { dataDirectory, type OrderView, type ServerStatus } from '@mortise/server'
import { openAdministration } from '../administration.ts'
import { examples, type ServerOptions, withServer } from '../options.ts'
import { counted, report } from '../output.ts'

const MAX_SHOWN_ORDERS = 20

interface StatusReport extends ServerStatus {
  readonly waiting: readonly OrderView[]
  /** The HSM process of this directory, whoever started it; absent where none answers. */
  readonly hsmProcess?: SupervisorStatus
}

export function registerStatus(program: Command): void {
  const command = withServer(program.command('status'))
    .description('say what runs, what waits, and what to look after')
    .action(status)
  examples(command, 'mortise status --data ./js', 'mortise status --data ./js --json')
}

async function status(options: ServerOptions): Promise<void> {
  await using administration = await openAdministration(options)
  const server = await administration.status()
  const waiting = await administration.listOrders('waiting', MAX_SHOWN_ORDERS)
  const here = options.url === undefined
  const hsmProcess = here ? await askHsmProcess(options.data) : undefined
  const warnings = [
    ...server.warnings,
    ...(here ? [...operatorWarnings(options.data), ...missingCertificates(options.data)] : []),
  ]
  const facts: StatusReport = {
    ...server,
    waiting,
    warnings,
    ...(hsmProcess !== undefined && { hsmProcess }),
  }
  report(options, facts, () => describe(options, facts))
}

async function askHsmProcess(data: string): Promise<SupervisorStatus | undefined> {
  const { custodianSocket } = dataDirectory(data)
  try {
    return await hsmStatus(custodianSocket)
  } catch {
    return undefined
  }
}

function operatorWarnings(data: string): string[] {
  const { operator } = dataDirectory(data)
  const warnings: string[] = []
  if (existsSync(operator.recoveryKey))
    warnings.push(`the recovery key still lies in ${operator.recoveryKey}: move it away from this machine`)
  const keys = [operator.operatorKey, operator.caKey].filter((path) => existsSync(path))
  if (keys.length > 0)
    warnings.push(`keys of the operator still lie beside the server (${keys.join(', ')}): move ${operator.root} away`)
  return warnings
}

/** When they end, the server says. */
function missingCertificates(data: string): string[] {
  const { tlsCertificate, caCertificate } = dataDirectory(data)
  return [tlsCertificate, caCertificate]
    .filter((path) => !existsSync(path))
    .map((path) => `the certificate ${path} is missing`)
}

function describe(options: ServerOptions, facts: StatusReport): string {
  const { running, version, devices, waitingOrders, waiting, refusedOrders, warnings } = facts
  return [
    running ? `Server   running, version ${version}` : 'Server   not running',
    `HSM      ${describeHsm(options, facts)}`,
    `Devices  ${devices}`,
    `Orders   ${waitingOrders} waiting, ${refusedOrders.length} refused`,
    ...waiting.map(({ orderId, submittedAt }) => `  order ${orderId} of ${submittedAt} waits`),
    ...(waitingOrders > 0 && !running ? ['  they take effect when the server next starts with its HSM unsealed'] : []),
    ...refusedOrders.map(({ orderId, submittedAt, code, detail }) => {
      return `  order ${orderId} of ${submittedAt} was refused: ${code ?? 'unknown'}${detail === undefined ? '' : ` (${detail})`}`
    }),
    ...(warnings.length > 0 ? [`${counted(warnings.length, 'warning')}:`, ...warnings.map((line) => `  ${line}`)] : []),
  ].join('\n')
}

function describeHsm(options: ServerOptions, { running, hsm, hsmProcess }: StatusReport): string {
  const unseal = `; open it with: mortise unseal --data ${options.data}`
  if (running) {
    const facts = hsm.hsmId === undefined ? '' : ` (${hsm.backend ?? ''} ${hsm.hsmId}, epoch ${hsm.epoch ?? 0})`
    return `${hsm.state}${facts}${hsm.state === 'sealed' ? unseal : ''}`
  }
  if (hsmProcess === undefined) return 'not running'
  return hsmProcess.state === 'sealed' ? `runs, sealed${unseal}` : `runs, open (${hsmProcess.backend})`
}
