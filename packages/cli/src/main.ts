import { readFileSync } from 'node:fs'
import { Command, CommanderError } from 'commander'
import { usageError } from './errors.ts'
import { examples } from './options.ts'
import { reportFailure } from './output.ts'
import { registerCommands } from './program.ts'

/** Builds the program that has these words in front. */
async function createProgram(words: readonly string[]): Promise<Command> {
  const program = new Command('mortise')
    .description('Mortise: a LoRaWAN Join Server whose root keys live in an HSM')
    .version(versionOf(new URL('../package.json', import.meta.url)), '--version')
    .exitOverride()
    // `mortise demo --devices 6` and `mortise demo doors --devices 1000` each have their own.
    .enablePositionalOptions()
    .configureOutput({ outputError: () => undefined })
    .hook('preAction', (_program, command) => {
      nameProcess(command)
    })
  examples(program, 'mortise init --data ./js', 'mortise serve --data ./js', 'mortise device add --help')
  await registerCommands(program, words[0])
  return program
}

function versionOf(packageFile: URL): string {
  return (JSON.parse(readFileSync(packageFile, 'utf8')) as { version: string }).version
}

/** The command's words alone: what an option names (a path, `--hsm`) does not belong in a list of processes. */
function nameProcess(command: Command): void {
  const words: string[] = []
  for (let next: Command | null = command; next !== null; next = next.parent) words.unshift(next.name())
  process.title = words.join(' ')
}

async function run(words: readonly string[]): Promise<number> {
  try {
    const program = await createProgram(words)
    await program.parseAsync(words, { from: 'user' })
    return 0
  } catch (error) {
    if (error instanceof CommanderError && error.exitCode === 0) return 0
    return reportFailure(error instanceof CommanderError ? usageFailure(error) : error, words.includes('--json'))
  }
}

/** Commander has its own texts and exit code for a command that is wrong. */
function usageFailure(error: CommanderError): Error {
  // Shown when words are missing: the help itself went to standard error already.
  if (error.code === 'commander.help') return usageError('a command is missing', 'the list above has them')
  return usageError(error.message.replace(/^error: /, ''), 'add --help to the command to see what it takes')
}

// `mortise device list | head` has read enough: the rest is nobody's business, and no failure.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error
  // A command that has something to put away ends itself, as by a signal.
  if (!process.emit('SIGPIPE', 'SIGPIPE')) process.exit()
})
process.exitCode = await run(process.argv.slice(2))
