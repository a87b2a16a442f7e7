/**
 * - `dev_nonce_exhausted`: every DevNonce has been used.
 * - `rj_count_exhausted`: every RJcount0 since the last join-accept has been used, or every RJcount1.
 * - `not_joined`: the device has no session.
 * - `f_cnt_exhausted`: FCntUp has reached 2^32-1; the device must join again.
 * - `f_port_invalid`: not an FPort of 0 to 255.
 * - `not_a_downlink`: a frame of the other direction.
 * - `not_for_this_device`: another DevAddr.
 * - `f_cnt_replayed`: the counter is not above that of the last downlink.
 * - `mic_mismatch`: the downlink is not from the network of this session, or was changed.
 */
export type DeviceErrorCode =
  | 'dev_nonce_exhausted'
  | 'rj_count_exhausted'
  | 'not_joined'
  | 'f_cnt_exhausted'
  | 'f_port_invalid'
  | 'not_a_downlink'
  | 'not_for_this_device'
  | 'f_cnt_replayed'
  | 'mic_mismatch'

export class DeviceError extends Error {
  override readonly name = 'DeviceError'
  readonly code: DeviceErrorCode

  constructor(code: DeviceErrorCode, message: string) {
    super(message)
    this.code = code
  }
}
