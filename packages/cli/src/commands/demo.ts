import { type Command, InvalidArgumentError } from 'commander'
import { Narrator } from '../demo/narrator.ts'
import { Stage } from '../demo/stage.ts'
import { tellStory } from '../demo/story.ts'

const MAX_DEVICES = 1000

/** `mortise demo`: the whole story on this machine, in a throw-away directory. */
export function registerDemo(program: Command): void {
  program
    .command('demo')
    .description('walk devices of every LoRaWAN version from key to reading, with everybody as a process of its own')
    .option('--devices <n>', 'how many sensors', parseCount, 6)
    .addHelpText('after', '\nExamples:\n  $ mortise demo\n  $ mortise demo --devices 60')
    .action(async ({ devices }: { devices: number }) => {
      const started = performance.now()
      const narrator = new Narrator((text) => process.stdout.write(text))
      await using stage = new Stage(narrator)
      await tellStory(stage, narrator, devices)
      const seconds = ((performance.now() - started) / 1000).toFixed(1)
      process.stdout.write(`\nDone: ${narrator.shown} claims shown in ${seconds} s. Everything was deleted again.\n`)
    })
}

function parseCount(text: string): number {
  const count = Number(text)
  if (!Number.isInteger(count) || count < 1 || count > MAX_DEVICES)
    throw new InvalidArgumentError(`a number from 1 to ${MAX_DEVICES} expected.`)
  return count
}
