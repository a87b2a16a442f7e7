/** Long runs: MORTISE_BRIDGE_KILLS=2000. */
export const KILLS = Number(process.env['MORTISE_BRIDGE_KILLS'] ?? 100)

/** The same moments again, as far as processes allow: MORTISE_BRIDGE_SEED, which each run prints. */
export const SEED = Number(process.env['MORTISE_BRIDGE_SEED'] ?? Date.now() % 1_000_000)

/** How long a test with so many kills may take. */
export function timeoutMs(kills: number): number {
  return 120_000 + kills * 3000
}
