import {
  type DataFrame,
  type DevAddr,
  decodeDataFrame,
  directionOf,
  encodeDataFrame,
  extendFCnt,
  MAX_F_CNT,
  MIC_SIZE,
  type NetId,
  type RejoinType,
} from '@mortise/lorawan'
import { createDevNonceSource, type DevNonceSource } from './dev-nonce.ts'
import { DeviceError } from './device-error.ts'
import { RejoinCounters } from './rejoin-counters.ts'
import type { DeviceIdentity, JoinResult, SecureElement } from './secure-element.ts'

export interface UplinkOptions {
  /** 0 to 255; 0 carries MAC commands. */
  readonly fPort: number
  /** In clear. */
  readonly payload: Uint8Array
  readonly confirmed?: boolean
  /** MAC commands in clear, at most 15 bytes. */
  readonly fOpts?: Uint8Array
  /** The data rate and the channel on which the frame is sent, which a 1.1 MIC covers. */
  readonly txDr?: number
  readonly txCh?: number
}

export interface Downlink {
  /** Absent when there is no payload. */
  readonly fPort: number | undefined
  /** Decrypted. */
  readonly payload: Uint8Array
  /** Decrypted MAC commands. */
  readonly fOpts: Uint8Array
  /** The full counter. */
  readonly fCnt: number
  /** The device acknowledges it in its next uplink. */
  readonly confirmed: boolean
  /** The counter of the confirmed uplink that this frame acknowledges. */
  readonly acknowledgedFCntUp: number | undefined
}

/** The counters of one session; a 1.0 session counts all downlinks as NFCntDown. */
interface DeviceSession {
  readonly devAddr: DevAddr
  readonly netId: NetId
  readonly optNeg: boolean
  nextFCntUp: number
  readonly lastFCntDown: Record<DownCounter, number | undefined>
  /** FCntUp of the last confirmed uplink, while it has no ACK. */
  awaitedAck: number | undefined
  /** FCntDown of the confirmed downlink that the next uplink acknowledges. */
  dueAck: number | undefined
}

type DownCounter = 'NFCntDown' | 'AFCntDown'

const NO_BYTES = new Uint8Array(0)

/**
 * A LoRaWAN device of 1.0.0 to 1.1. It has no keys: it asks its secure element. It has one radio: whoever drives it
 * waits for each call before the next.
 */
export class Device {
  readonly identity: DeviceIdentity
  readonly #secureElement: SecureElement
  readonly #nextDevNonce: DevNonceSource
  readonly #rejoinCounters = new RejoinCounters()
  #session: DeviceSession | undefined

  /** For a device that is in the secure element already. */
  constructor(secureElement: SecureElement, identity: DeviceIdentity) {
    this.identity = identity
    this.#secureElement = secureElement
    this.#nextDevNonce = createDevNonceSource(identity.macVersion)
  }

  /** The DevAddr of the session, and whether it follows LoRaWAN 1.1; undefined before the first join. */
  get session(): { readonly devAddr: DevAddr; readonly optNeg: boolean } | undefined {
    return this.#session && { devAddr: this.#session.devAddr, optNeg: this.#session.optNeg }
  }

  /** A join-request of 23 bytes under a new DevNonce. @throws {DeviceError} `dev_nonce_exhausted` */
  async joinRequest(): Promise<Uint8Array> {
    return await this.#secureElement.signJoinRequest(this.identity.devEui, this.#nextDevNonce())
  }

  /**
   * A rejoin-request of 19 bytes (types 0, 2) or 24 (type 1) under the next RJcount. The session goes on until a
   * join-accept comes, which is handled as that of a join.
   * @throws {DeviceError} `not_joined`, `rj_count_exhausted`
   * @throws {SecureElementError} `not_in_this_session`: one of LoRaWAN 1.0
   */
  async rejoinRequest(rejoinType: RejoinType): Promise<Uint8Array> {
    const { netId } = this.#joined()
    const count = this.#rejoinCounters.next(rejoinType)
    const rejoin = rejoinType === 1 ? { rejoinType, rjCount1: count } : { rejoinType, netId, rjCount0: count }
    return await this.#secureElement.signRejoinRequest(this.identity.devEui, rejoin)
  }

  /**
   * Begins the session of a join-accept. One that is refused leaves the session before as it was.
   * @throws {SecureElementError} as {@link SecureElement.processJoinAccept}
   */
  async handleJoinAccept(phyPayload: Uint8Array): Promise<JoinResult> {
    const result = await this.#secureElement.processJoinAccept(this.identity.devEui, phyPayload)
    this.#rejoinCounters.activated()
    this.#session = {
      devAddr: result.devAddr,
      netId: result.netId,
      optNeg: result.optNeg,
      nextFCntUp: 0,
      lastFCntDown: { NFCntDown: undefined, AFCntDown: undefined },
      awaitedAck: undefined,
      dueAck: undefined,
    }
    return result
  }

  /**
   * An uplink, encrypted and with MIC, ready to send.
   * @throws {DeviceError} `not_joined`, `f_cnt_exhausted`, `f_port_invalid`
   * @throws {FrameError} what fits no frame
   */
  async uplink(options: UplinkOptions): Promise<Uint8Array> {
    const session = this.#joined()
    const { fPort, payload, confirmed = false, fOpts = NO_BYTES, txDr = 0, txCh = 0 } = options
    if (!Number.isInteger(fPort) || fPort < 0 || fPort > 255) {
      throw new DeviceError('f_port_invalid', `${fPort} is no FPort.`)
    }
    const fCnt = takeFCntUp(session)
    const { dueAck } = session
    const message = encodeDataFrame({
      mType: confirmed ? 'confirmed-up' : 'unconfirmed-up',
      devAddr: session.devAddr,
      adr: false,
      adrAckReq: false,
      ack: dueAck !== undefined,
      fPending: false,
      fCnt: fCnt % 0x10000,
      fOpts: await this.#cryptFOpts(session, 'FCntUp', fCnt, fOpts),
      fPort,
      frmPayload: await this.#cryptFrmPayload('up', fPort, fCnt, payload),
    })
    const micInputs = { message, fCnt, confFCnt: dueAck ?? 0, txDr, txCh }
    const mic = await this.#secureElement.signUplink(this.identity.devEui, micInputs)
    session.dueAck = undefined
    if (confirmed) session.awaitedAck = fCnt
    return Uint8Array.of(...message, ...mic)
  }

  /**
   * Reads a downlink. A refused one changes nothing.
   * @throws {DeviceError} `not_joined`, `not_a_downlink`, `not_for_this_device`, `f_cnt_replayed`, `mic_mismatch`
   * @throws {FrameError} what is no data frame
   */
  async handleDownlink(phyPayload: Uint8Array): Promise<Downlink> {
    const session = this.#joined()
    const frame = decodeDataFrame(phyPayload)
    if (directionOf(frame.mType) !== 'down') throw new DeviceError('not_a_downlink', 'This frame is an uplink.')
    if (frame.devAddr !== session.devAddr) throw new DeviceError('not_for_this_device', 'Another DevAddr.')
    const counter = downCounterOf(session, frame)
    const fCnt = extendFCnt(session.lastFCntDown[counter], frame.fCnt)
    if (fCnt === undefined) throw new DeviceError('f_cnt_replayed', 'The downlink is not newer than the last one.')
    const acknowledgedFCntUp = frame.ack ? session.awaitedAck : undefined
    await this.#verify(phyPayload, frame, fCnt, acknowledgedFCntUp ?? 0)
    session.lastFCntDown[counter] = fCnt
    if (frame.mType === 'confirmed-down') session.dueAck = fCnt
    if (frame.ack) session.awaitedAck = undefined
    return {
      fPort: frame.fPort,
      payload:
        frame.fPort === undefined ? NO_BYTES : await this.#cryptFrmPayload('down', frame.fPort, fCnt, frame.frmPayload),
      fOpts: await this.#cryptFOpts(session, counter, fCnt, frame.fOpts),
      fCnt,
      confirmed: frame.mType === 'confirmed-down',
      acknowledgedFCntUp,
    }
  }

  #joined(): DeviceSession {
    if (this.#session === undefined) throw new DeviceError('not_joined', 'The device has not joined.')
    return this.#session
  }

  async #verify(phyPayload: Uint8Array, frame: DataFrame, fCnt: number, confFCnt: number): Promise<void> {
    const message = phyPayload.subarray(0, -MIC_SIZE)
    const downlink = { message, mic: frame.mic, fCnt, confFCnt }
    if (await this.#secureElement.verifyDownlink(this.identity.devEui, downlink)) return
    throw new DeviceError('mic_mismatch', 'The MIC of the downlink is wrong.')
  }

  async #cryptFrmPayload(
    direction: 'up' | 'down',
    fPort: number,
    fCnt: number,
    payload: Uint8Array,
  ): Promise<Uint8Array> {
    return await this.#secureElement.cryptFrmPayload(this.identity.devEui, { direction, fPort, fCnt, payload })
  }

  /** FOpts are in clear before 1.1 (LoRaWAN 1.1 §4.3.1.6 encrypts them). */
  async #cryptFOpts(
    { optNeg }: DeviceSession,
    counter: 'FCntUp' | DownCounter,
    fCnt: number,
    fOpts: Uint8Array,
  ): Promise<Uint8Array> {
    if (!optNeg || fOpts.length === 0) return fOpts
    const direction = counter === 'FCntUp' ? 'up' : 'down'
    return await this.#secureElement.cryptFOpts(this.identity.devEui, { direction, counter, fCnt, fOpts })
  }
}

function takeFCntUp(session: DeviceSession): number {
  if (session.nextFCntUp > MAX_F_CNT) throw new DeviceError('f_cnt_exhausted', 'FCntUp is used up; join again.')
  return session.nextFCntUp++
}

/** LoRaWAN 1.1 §4.3.1.5: the application's downlinks are counted apart from those of FPort 0 or without FPort. */
function downCounterOf({ optNeg }: DeviceSession, { fPort }: DataFrame): DownCounter {
  return optNeg && fPort !== undefined && fPort > 0 ? 'AFCntDown' : 'NFCntDown'
}
