/**
 * - `event_malformed`: what a network sent is not an event of its kind.
 * - `queue_full`: as many events wait as may.
 * - `queue_failed`: the disk does not take an event; see `cause`.
 * - `queue_unusable`: the data directory cannot be used: a file in it is damaged, none of ours or of a later release.
 * - `directory_in_use`: another bridge runs on the data directory.
 * - `sink_failed`: a receiver did not take a message, and may later.
 * - `sink_busy`: the same, and it said so itself: it is there, and another message may fare better.
 * - `sink_refused`: a receiver will never take this message.
 * - `downlink_refused`: the network did not queue a downlink.
 * - `downlink_unavailable`: no downlink is taken at present. This one was not queued, and may be tried again.
 * - `downlink_unknown`: the network gave no answer; the downlink may be queued.
 * - `device_unknown`: no event of this device was ever seen, so that there is no way to it.
 * - `config_invalid`: the configuration is not usable; the message names the member.
 */
export type BridgeErrorCode =
  | 'event_malformed'
  | 'queue_full'
  | 'queue_failed'
  | 'queue_unusable'
  | 'directory_in_use'
  | 'sink_failed'
  | 'sink_busy'
  | 'sink_refused'
  | 'downlink_refused'
  | 'downlink_unavailable'
  | 'downlink_unknown'
  | 'device_unknown'
  | 'config_invalid'

/** What the bridge refuses. The message holds neither a key nor a payload. */
export class BridgeError extends Error {
  override readonly name = 'BridgeError'
  readonly code: BridgeErrorCode

  constructor(code: BridgeErrorCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.code = code
  }
}
