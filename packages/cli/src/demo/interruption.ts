import { constants } from 'node:os'

/** `SIGPIPE` stands for a reader of standard output that has gone: the system sends none to Node, main.ts tells it. */
const SIGNALS = ['SIGTERM', 'SIGINT', 'SIGHUP', 'SIGPIPE'] as const
export type Interruption = (typeof SIGNALS)[number]

/**
 * Resolves when the play is to be broken off. From this call on these signals end the process no more: whoever waits puts
 * everything away and leaves, and another signal meanwhile changes nothing.
 */
export function interruption(): Promise<Interruption> {
  return new Promise((resolve) => {
    for (const signal of SIGNALS)
      process.on(signal, () => {
        resolve(signal)
      })
  })
}

/** As a shell reports a process that a signal ended. Who stops reading has seen enough, which is no failure. */
export function exitCodeOf(signal: Interruption): number {
  return signal === 'SIGPIPE' ? 0 : 128 + constants.signals[signal]
}
