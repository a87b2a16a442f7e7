import type { SecretKind } from '@mortise/hsm'

/** Where to listen. Port 0 takes a free one. */
export interface ListenAddress {
  readonly host: string
  readonly port: number
}

/** How the server reaches the trust boundary. */
export type HsmChoice =
  /** Starts the HSM process itself, under its own user: for a first try. Without a secret file it starts sealed. */
  | {
      readonly kind: 'spawn'
      readonly secretFile?: string | undefined
      /** What the secret file is said to hold: the HSM process refuses one for the other kind of HSM. */
      readonly secretKind?: SecretKind | undefined
      readonly workers?: number | undefined
    }
  /** `mortise hsm serve` runs elsewhere on this machine, under a user of its own. */
  | { readonly kind: 'socket'; readonly path: string }

/** PEM files of a certificate, with those between it and its CA, and of its key. */
export interface TlsFiles {
  readonly certificate: string
  readonly key: string
}

export interface ServeOptions {
  readonly dataDirectory: string
  readonly hsm: HsmChoice
  readonly biListen: ListenAddress
  readonly apiListen: ListenAddress
  /** Paths, beside `/`, on which the Backend Interfaces listener answers. */
  readonly biPaths?: readonly string[] | undefined
  /**
   * Certificate of the Backend Interfaces listener, in place of the installation's own. The management API keeps that
   * one: the operator's commands trust the CA of the installation, and no other.
   */
  readonly biTls?: TlsFiles | undefined
  /** Takes one line for people. */
  readonly log: (line: string) => void
}
