import { writeSync } from 'node:fs'
import { HsmError } from '../errors.ts'
import { SecretFileError } from '../secret-file.ts'

const STANDARD_ERROR = 2
const MAX_FRAMES = 10
const FRAME = /^ {4}at /
const CODE = /^[A-Za-z0-9_]{1,64}$/

/**
 * Makes an error that nobody foresaw end the process with its name, its code and where it happened. Node would print its
 * message and its members too, and those may quote a value: a key, a line of the opened store.
 */
export function sayLastWords(): void {
  process.on('uncaughtException', (error: unknown) => {
    try {
      writeSync(STANDARD_ERROR, `mortise hsm: error: unexpected failure: ${withoutValues(error)}\n`)
    } finally {
      process.exit(1)
    }
  })
}

/** An error as its class, code and stack frames: nothing that was made from a value. */
export function withoutValues(error: unknown): string {
  if (!(error instanceof Error)) return 'something was thrown that is no error'
  const code = 'code' in error && typeof error.code === 'string' && CODE.test(error.code) ? ` ${error.code}` : ''
  // The message stands before the frames, and its own lines may look like them.
  const frames = (error.stack ?? '')
    .replace(error.message, '')
    .split('\n')
    .filter((line) => FRAME.test(line))
  return [`${error.constructor.name}${code}`, ...frames.slice(0, MAX_FRAMES)].join('\n')
}

/** A refusal and an error of the operating system (it names calls and paths) as they are; any other without its message. */
export function tellable(error: unknown): Error {
  const known = error instanceof HsmError || error instanceof SecretFileError || isSystemError(error)
  return known ? error : new Error(`unexpected failure: ${withoutValues(error)}`)
}

function isSystemError(error: unknown): error is Error {
  return error instanceof Error && 'syscall' in error
}
