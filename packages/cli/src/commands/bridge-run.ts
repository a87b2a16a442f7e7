import type { Command } from 'commander'
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
  cleanup.use(await startBridge(config, jsonLog()))
  note(`the bridge runs on ${config.data.directory}`)
  await stop
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
