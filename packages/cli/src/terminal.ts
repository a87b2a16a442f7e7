import { createInterface } from 'node:readline/promises'
import { CliError } from './errors.ts'

/** Whether a person can be asked. */
export function isInteractive(): boolean {
  return process.stdin.isTTY && process.stderr.isTTY
}

/** Asks a yes-or-no question on the terminal; an empty answer is no. */
export async function confirm(question: string): Promise<boolean> {
  const terminal = createInterface({ input: process.stdin, output: process.stderr })
  try {
    return /^y(es)?$/i.test((await terminal.question(`${question} [y/N] `)).trim())
  } finally {
    terminal.close()
  }
}

/** Asks for one line on the terminal, without spaces around it. Call only when {@link isInteractive}. @throws CliError interrupted */
export async function ask(question: string): Promise<string> {
  const terminal = createInterface({ input: process.stdin, output: process.stderr })
  const ended = new AbortController()
  terminal.once('close', () => {
    ended.abort()
  })
  try {
    return (await terminal.question(question, { signal: ended.signal })).trim()
  } catch (error) {
    throw new CliError('interrupted', 'interrupted; nothing was made', { cause: error })
  } finally {
    terminal.close()
  }
}

/** Asks before something is made; without a terminal, or with `--yes`, the command itself is the word. */
export async function confirmUnless(yes: boolean | undefined, question: string): Promise<void> {
  if (yes === true || !isInteractive()) return
  if (!(await confirm(question))) throw new CliError('declined', 'nothing was changed')
}

/**
 * Asks before something that cannot be undone. A script says `--yes`.
 * @throws CliError confirmation_missing, declined
 */
export async function confirmDestruction(yes: boolean | undefined, question: string): Promise<void> {
  if (yes !== true && !isInteractive())
    throw new CliError('confirmation_missing', `there is no terminal to ask: ${question}`, { hint: 'give --yes' })
  await confirmUnless(yes, question)
}

const ENTER = new Set([0x0a, 0x0d])
const BACKSPACE = new Set([0x08, 0x7f])
const CTRL_C = 0x03
const CTRL_D = 0x04
const MAX_SECRET_BYTES = 1024

/**
 * Reads a line from the terminal without showing it. Call only when {@link isInteractive}.
 * @throws CliError interrupted
 */
export async function promptSecret(question: string): Promise<Buffer> {
  const { stdin, stderr } = process
  stderr.write(question)
  stdin.setRawMode(true)
  stdin.resume()
  try {
    return await readLineRaw(stdin)
  } finally {
    stdin.setRawMode(false)
    stdin.pause()
    stderr.write('\n')
  }
}

function readLineRaw(input: NodeJS.ReadStream): Promise<Buffer> {
  const typed = Buffer.alloc(MAX_SECRET_BYTES)
  let length = 0
  return new Promise((resolve, reject) => {
    const finish = (settle: () => void): void => {
      input.off('data', read)
      settle()
    }
    const read = (chunk: Buffer): void => {
      for (const byte of chunk) {
        if (ENTER.has(byte)) return finish(() => resolve(typed.subarray(0, length)))
        if (byte === CTRL_C || byte === CTRL_D)
          return finish(() => reject(new CliError('interrupted', 'interrupted; nothing was changed')))
        if (BACKSPACE.has(byte)) length = withoutLastCharacter(typed, length)
        else if (length < MAX_SECRET_BYTES) typed[length++] = byte
      }
    }
    input.on('data', read)
  })
}

/** Length without the last UTF-8 character: its continuation bytes go with it. */
function withoutLastCharacter(typed: Buffer, length: number): number {
  let end = Math.max(0, length - 1)
  while (end > 0 && ((typed[end] ?? 0) & 0xc0) === 0x80) end--
  return end
}
