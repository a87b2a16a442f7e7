/** What must not be left behind when a benchmark is broken off. */
const cleanups = new Set<() => void>()

const EXIT_INTERRUPTED = 130

/** Has `cleanup` called if the process is told to end before the result is disposed of. */
export function uponInterruption(cleanup: () => void): Disposable {
  if (cleanups.size === 0) process.on('SIGINT', cleanUpAndExit).on('SIGTERM', cleanUpAndExit)
  cleanups.add(cleanup)
  return {
    [Symbol.dispose]() {
      cleanups.delete(cleanup)
      if (cleanups.size === 0) process.off('SIGINT', cleanUpAndExit).off('SIGTERM', cleanUpAndExit)
    },
  }
}

/** The newest first: processes before the directory that they work in. */
function cleanUpAndExit(): never {
  for (const cleanup of [...cleanups].reverse()) cleanup()
  process.exit(EXIT_INTERRUPTED)
}
