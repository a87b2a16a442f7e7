import { type Command, InvalidArgumentError } from 'commander'
import { exitCodeOf, interruption } from '../demo/interruption.ts'
import { Narrator } from '../demo/narrator.ts'
import { Stage } from '../demo/stage.ts'
import { tellStory } from '../demo/story.ts'
import { asPath, examples } from '../options.ts'

const MAX_DEVICES = 1000
const DEVICES = 6
const DOORS = 1000

interface DoorsOptions {
  readonly devices: number
  readonly out?: string
}

/** `mortise demo`: the whole story on this machine, in a throw-away directory. */
export function registerDemo(program: Command): void {
  const demo = program
    .command('demo')
    .description('walk devices of every LoRaWAN version from key to reading, with everybody as a process of its own')
    .option('--devices <n>', 'how many sensors', parseCount, DEVICES)
    .action(async ({ devices }: { devices: number }) => {
      await play((stage, narrator) => tellStory(stage, narrator, devices), 'Everything was deleted again.')
    })
    // Otherwise it would take the options of what is below it.
    .enablePositionalOptions()
  examples(demo, 'mortise demo', 'mortise demo --devices 60', 'mortise demo doors')
  registerDoors(demo)
}

function registerDoors(demo: Command): void {
  const command = demo
    .command('doors')
    .description('a thousand doors behind a ChirpStack network, the bridge on the owner side; needs Mosquitto')
    .option('--devices <n>', 'how many doors, from 2', parseDoors, DOORS)
    .option('--out <file>', 'all that the network operator has seen (default: ./network-view-TIME.jsonl)', asPath)
    .action(async ({ devices, out }: DoorsOptions) => {
      const time = new Date().toISOString().replaceAll(/[-:]|\..*/g, '')
      const view = out ?? asPath(`network-view-${time}.jsonl`)
      const { tellDoors } = await import('../demo/doors/story.ts')
      await play(
        (stage, narrator) => tellDoors(stage, narrator, { devices, out: view }),
        'All but the view was deleted.',
      )
    })
  examples(command, 'mortise demo doors', 'mortise demo doors --devices 50 --out ./network-view.jsonl')
}

async function play(tell: (stage: Stage, narrator: Narrator) => Promise<void>, lastWords: string): Promise<void> {
  const interrupted = interruption()
  const started = performance.now()
  const narrator = new Narrator((text) => process.stdout.write(text))
  await using stage = new Stage(narrator)
  const signal = await Promise.race([interrupted, tell(stage, narrator).then(() => undefined)])
  if (signal !== undefined) {
    await stage[Symbol.asyncDispose]()
    // The story goes on to its next step otherwise, and waits there for those who have gone.
    process.exit(exitCodeOf(signal))
  }
  const seconds = ((performance.now() - started) / 1000).toFixed(1)
  process.stdout.write(`\nDone: ${narrator.shown} claims shown in ${seconds} s. ${lastWords}\n`)
}

function parseDoors(text: string): number {
  const count = parseCount(text)
  // What is said of the ciphertexts of two doors needs two.
  if (count < 2) throw new InvalidArgumentError(`a number from 2 to ${MAX_DEVICES} expected.`)
  return count
}

function parseCount(text: string): number {
  const count = Number(text)
  if (!Number.isInteger(count) || count < 1 || count > MAX_DEVICES)
    throw new InvalidArgumentError(`a number from 1 to ${MAX_DEVICES} expected.`)
  return count
}
