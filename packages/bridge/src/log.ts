import { writeSync } from 'node:fs'

export type LogFields = Readonly<Record<string, string | number | boolean | undefined>>

/**
 * Tells an operator what happened. Fields name devices, sinks and reasons; no payload, no reading and no key is ever one.
 */
export interface Log {
  info(message: string, fields?: LogFields): void
  warn(message: string, fields?: LogFields): void
}

export const SILENT: Log = { info: () => undefined, warn: () => undefined }

const STDERR = 2

/** How often the same message is written at most; how many were left out, is in the next one. */
const SAME_MESSAGE_MS = 1000

interface Said {
  readonly atMs: number
  leftOut: number
}

/** One line of JSON for each message. What happens a thousand times a second is not written a thousand times. */
export function jsonLog(write: (line: string) => void = toStderr, now: () => number = Date.now): Log {
  const said = new Map<string, Said>()
  const log = (level: 'info' | 'warn', message: string, fields: LogFields = {}): void => {
    const atMs = now()
    const last = said.get(message)
    if (last !== undefined && atMs - last.atMs < SAME_MESSAGE_MS) {
      last.leftOut++
      return
    }
    // The messages are the program's own texts, so that there are few of them.
    said.set(message, { atMs, leftOut: 0 })
    const alike = last === undefined || last.leftOut === 0 ? undefined : last.leftOut
    write(`${JSON.stringify({ time: new Date(atMs).toISOString(), level, message, ...fields, alike })}\n`)
  }
  return {
    info: (message, fields) => {
      log('info', message, fields)
    },
    warn: (message, fields) => {
      log('warn', message, fields)
    },
  }
}

/** A log that nobody reads must not end the bridge. */
function toStderr(line: string): void {
  try {
    writeSync(STDERR, line)
  } catch {
    return
  }
}
