/**
 * A whole region that comes back after a blackout, as a process: `node storm-main.ts --config FILE`, commands on
 * standard input, answers on standard output, both as in command-loop.ts. It ends with its standard input.
 *
 * - `run` {spreadSeconds, timeScale, timeoutSeconds} → what storm.ts has as StormResult
 * - `progress` → {joined}
 */
import { parseArgs } from 'node:util'
import { serveCommands } from '../command-loop.ts'
import { Storm } from './storm.ts'
import { readStormConfig } from './storm-config.ts'

process.title = 'mortise storm generator'
const { values } = parseArgs({ options: { config: { type: 'string' } } })
if (values.config === undefined) throw new Error('Say which configuration to use: --config FILE')
const { fleet, shares, makers } = await readStormConfig(values.config)
let storm: Storm | undefined

await serveCommands(process.stdin, process.stdout, {
  run(members) {
    const options = {
      devices: fleet.size,
      spreadSeconds: members.number('spreadSeconds'),
      timeScale: members.number('timeScale'),
      timeoutSeconds: members.number('timeoutSeconds'),
    }
    storm = new Storm(options, shares, makers)
    return storm.run()
  },
  progress: () => ({ joined: storm?.joined ?? 0 }),
})
