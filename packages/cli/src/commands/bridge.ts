import type { Command } from 'commander'
import { examples } from '../options.ts'
import { registerBridgeCheck } from './bridge-check.ts'
import { registerBridgeDownlink } from './bridge-downlink.ts'
import { registerBridgeInit } from './bridge-init.ts'
import { registerBridgeRun } from './bridge-run.ts'

export function registerBridge(program: Command): void {
  const bridge = program
    .command('bridge')
    .description("the owner's side of a network: encrypted uplinks in, readings out, downlinks back")
  examples(
    bridge,
    'mortise bridge init --out ./bridge',
    'mortise bridge check --config ./bridge/config.yaml',
    'mortise bridge run --config ./bridge/config.yaml',
  )
  registerBridgeInit(bridge)
  registerBridgeCheck(bridge)
  registerBridgeRun(bridge)
  registerBridgeDownlink(bridge)
}
