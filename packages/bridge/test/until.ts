import { setTimeout as sleep } from 'node:timers/promises'

/** Waits until something is so; a test that waits for ever fails by its own time limit. */
export async function until(isSo: () => boolean): Promise<void> {
  while (!isSo()) await sleep(5)
}
