import type { Command } from 'commander'

type Register = (program: Command) => void

/** Every command, in the order in which one meets them. Only what is run is loaded. */
const COMMANDS: ReadonlyMap<string, () => Promise<Register>> = new Map([
  ['init', async () => (await import('./commands/init.ts')).registerInit],
  ['serve', async () => (await import('./commands/serve.ts')).registerServe],
  ['hsm', async () => (await import('./commands/hsm.ts')).registerHsm],
  ['unseal', async () => (await import('./commands/unseal.ts')).registerUnseal],
  ['status', async () => (await import('./commands/status.ts')).registerStatus],
  ['peer', async () => (await import('./commands/peer.ts')).registerPeer],
  ['certificate', async () => (await import('./commands/certificate.ts')).registerCertificate],
  ['kek', async () => (await import('./commands/kek.ts')).registerKek],
  ['device', async () => (await import('./commands/device.ts')).registerDevice],
  ['route', async () => (await import('./commands/route.ts')).registerRoute],
  ['kit', async () => (await import('./commands/kit.ts')).registerKit],
  ['dns', async () => (await import('./commands/dns.ts')).registerDns],
  ['bridge', async () => (await import('./commands/bridge.ts')).registerBridge],
  ['api-key', async () => (await import('./commands/api-key.ts')).registerApiKey],
  ['accept-rollback', async () => (await import('./commands/accept-rollback.ts')).registerAcceptRollback],
  ['demo', async () => (await import('./commands/demo.ts')).registerDemo],
  ['bench', async () => (await import('./commands/bench.ts')).registerBench],
])

/**
 * Adds the command that `word` names, and all of them where it names none. So the process of the trust boundary loads
 * nothing of the server, and every command begins sooner.
 */
export async function registerCommands(program: Command, word?: string): Promise<void> {
  const named = word === undefined ? undefined : COMMANDS.get(word)
  const loads = named === undefined ? [...COMMANDS.values()] : [named]
  for (const load of loads) {
    const register = await load()
    register(program)
  }
}
