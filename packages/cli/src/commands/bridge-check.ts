import type { Command } from 'commander'
import { CliError } from '../errors.ts'
import { describeCheck, isWrong } from '../kit/check.ts'
import { asPath, examples } from '../options.ts'
import { counted, report } from '../output.ts'

export function registerBridgeCheck(bridge: Command): void {
  const command = bridge
    .command('check')
    .description('try everything that the bridge needs: what is wrong, and how to mend it; publishes nothing')
    .requiredOption('--config <file>', 'configuration of the bridge', asPath)
    .option('--json', 'print JSON for programs')
    .action(check)
  examples(
    command,
    'mortise bridge check --config ./bridge/config.yaml',
    'mortise bridge check --config ./bridge/config.yaml --json',
  )
}

/** @throws CliError bridge_faulty: exit code 1 */
async function check({ config, json }: { readonly config: string; readonly json?: boolean }): Promise<void> {
  // The brokers' and the API's clients are loaded by what needs them, so that every other command starts sooner.
  const { checkBridge } = await import('../bridge/run-checks.ts')
  const checks = await checkBridge(config)
  const faults = checks.filter(isWrong).length
  report({ ...(json !== undefined && { json }) }, { ok: faults === 0, checks }, () =>
    checks.map((one) => describeCheck(one)).join('\n'),
  )
  if (faults > 0)
    throw new CliError('bridge_faulty', `${counted(faults, 'thing')} must be mended`, {
      ...(faults > 1 && { hint: 'the first one may be the cause of others' }),
    })
}
