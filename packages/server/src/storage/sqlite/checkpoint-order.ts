/** What the thread is told through the first number that it shares; it puts back `none`, or `closed` at its end. */
export const CHECKPOINT_COMMAND = { none: 0, run: 1, close: 2, closed: 3 } as const

/** What the thread is started with. */
export interface CheckpointOrder {
  /** The database's. */
  readonly path: string
  /** One number, shared: the command. */
  readonly command: Int32Array
}

/** What it says after a run. */
export interface CheckpointReport {
  /** In the log, moved or not. */
  readonly pages: number
  /** Why nothing was moved. */
  readonly failure: string | undefined
}
