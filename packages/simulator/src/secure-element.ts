import type { DevEui, Direction, FOptsCounter, JoinAccept, JoinEui, MacVersion, NetId } from '@mortise/lorawan'

export interface DeviceIdentity {
  readonly devEui: DevEui
  readonly joinEui: JoinEui
  readonly macVersion: MacVersion
}

/** 16 bytes each; a NwkKey for LoRaWAN 1.1 only. */
export interface RootKeys {
  readonly appKey: Uint8Array
  readonly nwkKey?: Uint8Array
}

/** What a device learns of its join-accept. */
export interface JoinResult extends JoinAccept {
  /** Whether the session is one of LoRaWAN 1.1, rather than of 1.0. */
  readonly optNeg: boolean
}

/** DevEUI and JoinEUI of a rejoin-request are the device's. */
export type RejoinToSign =
  | { readonly rejoinType: 0 | 2; readonly netId: NetId; readonly rjCount0: number }
  | { readonly rejoinType: 1; readonly rjCount1: number }

export interface UplinkToSign {
  /** From MHDR to the end of FRMPayload. */
  readonly message: Uint8Array
  /** 32 bits. */
  readonly fCnt: number
  /** In 1.1 sessions: the counter of the downlink that the frame acknowledges, 0 without ACK. */
  readonly confFCnt: number
  readonly txDr: number
  readonly txCh: number
}

export interface DownlinkToVerify {
  /** From MHDR to the end of FRMPayload. */
  readonly message: Uint8Array
  /** 4 bytes. */
  readonly mic: Uint8Array
  /** 32 bits. */
  readonly fCnt: number
  /** In 1.1 sessions: the counter of the uplink that the frame acknowledges, 0 without ACK. */
  readonly confFCnt: number
}

export interface FrmPayloadToCrypt {
  readonly direction: Direction
  /** Decides the key: 0 the network's, above that the application's. */
  readonly fPort: number
  /** 32 bits. */
  readonly fCnt: number
  readonly payload: Uint8Array
}

export interface FOptsToCrypt {
  readonly direction: Direction
  readonly counter: FOptsCounter
  readonly fCnt: number
  readonly fOpts: Uint8Array
}

/**
 * The chip beside a device's microcontroller, for any number of devices: it makes the root keys, derives the session
 * keys and uses both by the name of the operation. No operation gives a key out, but the one for provisioning, once.
 * Every operation throws {@link SecureElementError}; whose codes are not repeated here, `device_unknown` always may be.
 */
export interface SecureElement extends AsyncDisposable {
  /** Makes the root keys of a new device. @throws {SecureElementError} `device_exists` */
  createDevice(identity: DeviceIdentity): Promise<void>

  /** Gives the root keys out, for the join server, and forgets the copy. @throws {SecureElementError} `root_keys_taken` */
  takeRootKeysForProvisioning(devEui: DevEui): Promise<RootKeys>

  /** A join-request of 23 bytes. Its DevNonce is kept for the join-accept; a further one takes its place. */
  signJoinRequest(devEui: DevEui, devNonce: number): Promise<Uint8Array>

  /**
   * A rejoin-request of 19 or 24 bytes, which takes the place of a join-request or rejoin-request that has no answer yet.
   * The session goes on until a join-accept is taken.
   * @throws {SecureElementError} `no_session`, `not_in_this_session`
   */
  signRejoinRequest(devEui: DevEui, rejoin: RejoinToSign): Promise<Uint8Array>

  /**
   * Opens a join-accept of 17 or 33 bytes, and derives the session keys from it. What is refused leaves the session and
   * the join under way as they were.
   * @throws {SecureElementError} `no_join_pending`, `join_accept_malformed`, `mic_mismatch`, `join_nonce_stale`
   */
  processJoinAccept(devEui: DevEui, phyPayload: Uint8Array): Promise<JoinResult>

  /** The MIC of an uplink, 4 bytes. @throws {SecureElementError} `no_session` */
  signUplink(devEui: DevEui, uplink: UplinkToSign): Promise<Uint8Array>

  /** Whether the MIC of a downlink is right; the right one is not told. @throws {SecureElementError} `no_session` */
  verifyDownlink(devEui: DevEui, downlink: DownlinkToVerify): Promise<boolean>

  /** Encrypts or decrypts FRMPayload. @throws {SecureElementError} `no_session` */
  cryptFrmPayload(devEui: DevEui, frame: FrmPayloadToCrypt): Promise<Uint8Array>

  /** Encrypts or decrypts the FOpts of a 1.1 session. @throws {SecureElementError} `no_session`, `not_in_this_session` */
  cryptFOpts(devEui: DevEui, frame: FOptsToCrypt): Promise<Uint8Array>
}
