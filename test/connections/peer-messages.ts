/** What a test tells one of its peer processes, and what that says. */

export interface PeerStart {
  readonly do: 'start'
  readonly host: string
  readonly port: number
  readonly localAddress: string
  /** PEM. */
  readonly ca: string
  readonly cert: string
  readonly key: string
}

export type PeerCommand =
  | PeerStart
  /** Opens connections, and posts `body` on each so many times; they stay open. */
  | { readonly do: 'open'; readonly connections: number; readonly requests: number; readonly body: string }
  /** Posts `body` once on every open connection. */
  | { readonly do: 'touch'; readonly body: string }
  /** Posts `body` on every connection, again and again until told to stop; one that is refused waits `pauseMs` first. */
  | { readonly do: 'flood'; readonly body: string; readonly pauseMs: number }
  | { readonly do: 'close' }

/** Ends a flood, which then makes its report. */
export type StopCommand = { readonly do: 'stop' }

export interface PeerReport {
  /** Connections that are open. */
  readonly open: number
  /** Answers by result code; by status where there is none, `none` where the connection ended instead. */
  readonly answers: Readonly<Record<string, number>>
}
