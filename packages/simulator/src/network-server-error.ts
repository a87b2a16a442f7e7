import type { FailureCode } from '@mortise/backend-interfaces'

/**
 * - `join_refused`: the join server refused a join or rejoin; see `resultCode`.
 * - `home_ns_refused`: it refused to say which network is the device's home; see `resultCode`.
 * - `session_keys_unexpected`: the answer has the session keys of the other LoRaWAN version.
 * - `kek_label_unknown`: a network session key is wrapped under a KEK that this network has not.
 * - `dev_addr_exhausted`: every DevAddr of the NetID is in use.
 * - `dev_addr_unknown`: no session has this DevAddr.
 * - `device_unknown`: no session has this DevEUI.
 * - `not_an_uplink`: a frame of the other direction.
 * - `f_cnt_replayed`: an uplink that is not newer than the last one.
 * - `rj_count_replayed`: a rejoin-request that is not newer than the last one of the session.
 * - `mic_mismatch`: the uplink or rejoin-request is not from the device of this session, or was changed.
 * - `f_cnt_down_used`: the application's downlink has a counter that is used up.
 * - `f_port_invalid`: a payload without an FPort of 1 to 255 and its FCnt.
 */
export type NetworkServerErrorCode =
  | 'join_refused'
  | 'home_ns_refused'
  | 'session_keys_unexpected'
  | 'kek_label_unknown'
  | 'dev_addr_exhausted'
  | 'dev_addr_unknown'
  | 'device_unknown'
  | 'not_an_uplink'
  | 'f_cnt_replayed'
  | 'rj_count_replayed'
  | 'mic_mismatch'
  | 'f_cnt_down_used'
  | 'f_port_invalid'

export class NetworkServerError extends Error {
  override readonly name = 'NetworkServerError'
  readonly code: NetworkServerErrorCode
  /** What the join server answered; present with `join_refused` and `home_ns_refused` alone. */
  readonly resultCode: FailureCode | undefined

  constructor(code: NetworkServerErrorCode, message: string, resultCode?: FailureCode) {
    super(message)
    this.code = code
    this.resultCode = resultCode
  }
}
