import { type BenchVersion, devicesOf, type JoinBenchOptions } from './join-options.ts'
import { NETWORK } from './parties.ts'
import { ServerProcess } from './server-process.ts'
import { type Progress, Workshop } from './workshop.ts'

/** From the start of `mortise serve` until /readyz says 200: each of the HSM's opening, too. */
export interface StartUp {
  readonly macVersion: BenchVersion
  readonly devices: number
  readonly databaseBytes: number
  readonly milliseconds: readonly number[]
}

/** Starts and stops the server of each fleet, `rounds` times. The database is in the page cache, as after a restart. */
export async function benchStartUp(options: JoinBenchOptions, progress: Progress): Promise<StartUp[]> {
  using workshop = new Workshop(options.keep, progress)
  const results: StartUp[] = []
  for (const macVersion of options.macVersion)
    for (const devices of devicesOf(options)) {
      const installation = await workshop.installation('soft', macVersion, devices, [NETWORK])
      const milliseconds: number[] = []
      for (let round = 0; round < options.rounds; round++) {
        await using server = await ServerProcess.start(installation, {})
        milliseconds.push(server.startedInMs)
      }
      results.push({ macVersion, devices, databaseBytes: installation.databaseBytes(), milliseconds })
      workshop.discard(installation)
    }
  return results
}

export function startUpText({ macVersion, devices, databaseBytes, milliseconds }: StartUp): string {
  const times = milliseconds.toSorted((a, b) => a - b).map((ms) => `${ms.toFixed(0)} ms`)
  return (
    `LoRaWAN ${macVersion}, ${devices} devices (${(databaseBytes / 1024 ** 2).toFixed(0)} MiB): ` +
    `ready after ${times.join(', ')}`
  )
}
