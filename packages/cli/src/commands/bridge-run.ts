import type { Command } from 'commander'
import { CliError, errorCode, messageOf } from '../errors.ts'
import { asPath, examples } from '../options.ts'
import { note } from '../output.ts'

export function registerBridgeRun(bridge: Command): void {
  const command = bridge
    .command('run')
    .description('take the events of the network over, and pass readings on, until SIGTERM or SIGINT')
    .requiredOption('--config <file>', 'configuration of the bridge', asPath)
    .action(run)
  examples(command, 'mortise bridge run --config ./bridge/config.yaml')
  command.addHelpText(
    'after',
    '\nIt logs to standard error, one JSON object a line, and never a payload. What it took over is on disk before it is\n' +
      'acknowledged: it may be killed at any moment.',
  )
}

async function run({ config: path }: { readonly config: string }): Promise<void> {
  const stop = stopSignal()
  const { jsonLog, readBridgeConfig, startBridge } = await import('@mortise/bridge')
  const config = await readBridgeConfig(path)
  await using cleanup = new AsyncDisposableStack()
  cleanup.use(config.kekRing)
  cleanup.use(await startBridge(config, jsonLog()).catch(explain))
  note(`the bridge runs on ${config.data.directory}`)
  await stop
}

const HINTS: Readonly<Record<string, string>> = {
  directory_in_use: 'stop it, or name another directory in data.directory: each bridge has its own',
  queue_unusable: 'the user of the bridge must own the directory, on a local disk; or restore it from a back-up',
  config_invalid: '`mortise bridge check --config …` tries everything in the configuration',
}

/** @throws the failure, with the next step where there is one */
function explain(error: unknown): never {
  const code = errorCode(error) ?? 'unexpected'
  const hint = HINTS[code]
  if (hint === undefined) throw error
  throw new CliError(code, messageOf(error), { hint, cause: error })
}

/** Resolves at the first SIGTERM or SIGINT; a second one ends the process at once. */
function stopSignal(): Promise<void> {
  return new Promise((resolve) => {
    for (const signal of ['SIGTERM', 'SIGINT'] as const)
      process.once(signal, () => {
        resolve()
      })
  })
}
