import type { Dialect, ProtocolVersion } from '@mortise/backend-interfaces'
import type { JoinEuiPrefix, NetId, NsId } from '@mortise/lorawan'

/** What a network server will do, as its configuration says. */
export interface NetworkServerSetup {
  readonly dialect: Dialect
  /** SenderID. */
  readonly netId: NetId
  readonly nsId: NsId | undefined
  readonly protocolVersion: ProtocolVersion
  /** Where it posts a JoinReq. */
  readonly url: string
  /** The JoinEUIs for which it asks there. */
  readonly joinEuis: readonly JoinEuiPrefix[]
  /** Paths on this machine; undefined where the configuration names none. */
  readonly files: {
    readonly ca: string | undefined
    readonly certificate: string | undefined
    readonly key: string | undefined
  }
  /** As they are configured; `hex` may still be the placeholder. Never shown. */
  readonly keks: readonly { readonly label: string; readonly hex: string }[]
  /** Whether it waits for answers that are posted to it. */
  readonly asynchronous: boolean
  /** HTTP headers that it sends beside those of every request. Never shown. */
  readonly headers: Readonly<Record<string, string>>
}

/** What is wrong with a configuration file, and what to do. */
export interface Fault {
  readonly detail: string
  readonly remedy: string
}

export interface ReadSetup {
  readonly setup: NetworkServerSetup
  readonly faults: readonly Fault[]
}

/** In place of a KEK, which nobody but its two owners may know. No hexadecimal digit, so that no server starts with it. */
export const KEK_PLACEHOLDER = 'PUT-THE-KEK-HERE'
