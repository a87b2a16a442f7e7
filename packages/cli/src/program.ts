import type { Command } from 'commander'
import { registerAcceptRollback } from './commands/accept-rollback.ts'
import { registerApiKey } from './commands/api-key.ts'
import { registerBench } from './commands/bench.ts'
import { registerBridge } from './commands/bridge.ts'
import { registerCertificate } from './commands/certificate.ts'
import { registerDemo } from './commands/demo.ts'
import { registerDevice } from './commands/device.ts'
import { registerDns } from './commands/dns.ts'
import { registerHsm } from './commands/hsm.ts'
import { registerInit } from './commands/init.ts'
import { registerKek } from './commands/kek.ts'
import { registerKit } from './commands/kit.ts'
import { registerPeer } from './commands/peer.ts'
import { registerRoute } from './commands/route.ts'
import { registerServe } from './commands/serve.ts'
import { registerStatus } from './commands/status.ts'
import { registerUnseal } from './commands/unseal.ts'

/** Every command, in the order in which one meets them. */
export function registerCommands(program: Command): void {
  registerInit(program)
  registerServe(program)
  registerHsm(program)
  registerUnseal(program)
  registerStatus(program)
  registerPeer(program)
  registerCertificate(program)
  registerKek(program)
  registerDevice(program)
  registerRoute(program)
  registerKit(program)
  registerDns(program)
  registerBridge(program)
  registerApiKey(program)
  registerAcceptRollback(program)
  registerDemo(program)
  registerBench(program)
}
