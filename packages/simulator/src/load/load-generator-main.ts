/**
 * A load generator as a process: `node load-generator-main.ts --config FILE`, commands on standard input, answers on
 * standard output, both as in command-loop.ts. It ends with its standard input.
 *
 * - `self-test` → {noticed}: one join, and how many wrong answers to it were noticed
 * - `start` {connections, connect: "kept-alive"|"new", idleConnections, rate?} begins to send
 * - `window` {seconds} → {seconds, answered, refused, p50Ms, p99Ms, maxMs, idle, connected} of the next seconds
 * - `stop` → {answered, checked, failed, refused, firstFailure?} of everything since `start`
 */
import { parseArgs } from 'node:util'
import { serveCommands } from '../command-loop.ts'
import { type Members, MembersError } from '../members.ts'
import { LoadGenerator, type LoadOptions } from './load-generator.ts'
import { readLoadGeneratorConfig } from './load-generator-config.ts'
import { selfTest } from './self-test.ts'

process.title = 'mortise load generator'
const { values } = parseArgs({ options: { config: { type: 'string' } } })
if (values.config === undefined) throw new Error('Say which configuration to use: --config FILE')
const { target, source } = await readLoadGeneratorConfig(values.config)
const generator = new LoadGenerator(target, source)

await serveCommands(process.stdin, process.stdout, {
  'self-test': async () => ({ noticed: await selfTest(target, source) }),
  start(members) {
    generator.start(optionsOf(members))
    return {}
  },
  window: (members) => generator.window(members.number('seconds')),
  stop: () => generator.stop(),
})
await generator.stop()

function optionsOf(members: Members): LoadOptions {
  const connect = members.text('connect')
  if (connect !== 'kept-alive' && connect !== 'new')
    throw new MembersError('member_malformed', 'connect must be "kept-alive" or "new".')
  return {
    connections: members.number('connections'),
    connect,
    idleConnections: members.number('idleConnections'),
    rate: members.has('rate') ? members.number('rate') : undefined,
  }
}
