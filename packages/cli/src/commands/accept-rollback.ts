import type { Command } from 'commander'
import { openAdministration } from '../administration.ts'
import { CliError } from '../errors.ts'
import { openOperator } from '../operator.ts'
import { examples, type ServerOptions, withServer } from '../options.ts'
import { OrderDesk, outcome } from '../orders.ts'
import { report } from '../output.ts'
import { confirmDestruction } from '../terminal.ts'

interface AcceptRollbackOptions extends ServerOptions {
  readonly yes?: boolean
}

export function registerAcceptRollback(program: Command): void {
  const command = withServer(program.command('accept-rollback'))
    .description('go on with a key store that was restored from a copy')
    .option('--yes', 'do not ask')
    .action(acceptRollback)
  command.addHelpText(
    'after',
    '\nA key store that is older than the database may have forgotten which records were changed or removed since: until' +
      '\nthe operator accepts it, it serves no join. Accept it only if you restored it yourself, and repeat the changes' +
      '\nand removals that it does not know.',
  )
  examples(command, 'mortise accept-rollback --data ./js')
}

async function acceptRollback(options: AcceptRollbackOptions): Promise<void> {
  const operator = openOperator(options)
  await using administration = await openAdministration(options)
  const { hsm } = await administration.status()
  if (hsm.state !== 'rolled-back')
    throw new CliError('not_rolled_back', `the key store is not known to be rolled back: it is ${hsm.state}`, {
      hint: 'start the server first; `mortise status` shows the state of the HSM',
    })
  await confirmDestruction(
    options.yes,
    `Go on with a key store of epoch ${hsm.epoch ?? 0} instead of ${hsm.knownEpoch}?`,
  )
  const desk = new OrderDesk(administration, operator)
  const order = await desk.submit([{ action: 'epoch.accept', epoch: hsm.knownEpoch }])
  report(options, order, () => `The key store is accepted. ${outcome(order, administration)}`)
}
