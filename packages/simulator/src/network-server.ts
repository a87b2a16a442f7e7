import {
  type BackendInterfacesClient,
  type FailureAns,
  type HomeNsOutcome,
  isWrapped,
  type KeyEnvelope,
  unwrapKeyEnvelope,
} from '@mortise/backend-interfaces'
import {
  type DevEui,
  decodeDataFrame,
  decodeJoinRequest,
  decodeRejoinRequest,
  directionOf,
  encodeDataFrame,
  is11,
  type JoinEui,
  OPT_NEG,
} from '@mortise/lorawan'
import { NetworkServerError } from './network-server-error.ts'
import type {
  Activation,
  ActivationOptions,
  DownlinkToSend,
  NetworkServerOptions,
  ReceivedUplink,
  RejoinOptions,
} from './network-server-options.ts'
import {
  downlinkMic,
  macCommandsOf,
  type NetworkSession,
  networkCiphers,
  type UplinkMetadata,
} from './network-session.ts'
import { NetworkSessions } from './network-sessions.ts'
import { SeenLog } from './seen.ts'
import { authenticFCnt, authenticSession, takeFCntDown } from './session-frames.ts'

/**
 * A small network server of one operator. It holds network session keys only: what the join server sends beside them is
 * passed on unopened. Everything that it gets to know stands in `seen`.
 */
export class NetworkServer implements AsyncDisposable {
  readonly seen = new SeenLog()
  readonly #options: NetworkServerOptions
  readonly #joinServer: BackendInterfacesClient
  readonly #sessions: NetworkSessions

  constructor(options: NetworkServerOptions) {
    this.#options = options
    this.#sessions = new NetworkSessions(options.netId)
    this.#joinServer = options.connect((request, answer) => {
      this.seen.add('request', request)
      this.seen.add('answer', answer)
    })
  }

  /**
   * Has a join-request answered by the join server, and begins a session. The device's session before lives until the
   * first uplink of the new one, because the join-accept may be lost on air.
   * @throws {NetworkServerError} `join_refused`, `session_keys_unexpected`, `kek_label_unknown`, `dev_addr_exhausted`
   * @throws {KeyEnvelopeError} a network session key that does not open under its KEK
   * @throws {AnswerError} when there is no usable answer
   * @throws {FrameError} what is no join-request
   */
  async activate(joinRequest: Uint8Array, options: ActivationOptions): Promise<Activation> {
    this.seen.add('frame', joinRequest)
    const { joinEui, devEui } = decodeJoinRequest(joinRequest)
    return await this.#begin('joinReq', joinRequest, joinEui, devEui, options)
  }

  /**
   * Has a rejoin-request answered by the join server, and begins a session, as {@link activate} does. One of type 0 or 2
   * must be of a session of this network, which alone can check its MIC; type 1 is for the join server to check.
   * @throws {NetworkServerError} as {@link activate}, and `device_unknown`, `mic_mismatch`, `rj_count_replayed`
   * @throws {KeyEnvelopeError} a network session key that does not open under its KEK
   * @throws {AnswerError} when there is no usable answer
   * @throws {FrameError} what is no rejoin-request
   */
  async rejoin(rejoinRequest: Uint8Array, options: RejoinOptions = {}): Promise<Activation> {
    this.seen.add('frame', rejoinRequest)
    const request = decodeRejoinRequest(rejoinRequest)
    const { devEui } = request
    const joinEui =
      request.rejoinType === 1 ? request.joinEui : this.#hearRejoin(devEui, rejoinRequest, request.rjCount0).joinEui
    return await this.#begin('rejoinReq', rejoinRequest, joinEui, devEui, { ...options, macVersion: '1.1.0' })
  }

  /**
   * Asks the join server which network is a device's home.
   * @throws {NetworkServerError} `home_ns_refused`
   * @throws {AnswerError} when there is no usable answer
   */
  async homeNs(joinEui: JoinEui, devEui: DevEui): Promise<HomeNsOutcome> {
    const { netId, nsId, protocolVersion } = this.#options
    const ids = { protocolVersion, senderId: netId, senderNsId: nsId, receiverId: joinEui, devEui }
    const answer = await this.#joinServer.homeNsReq(ids)
    if (answer.resultCode !== 'Success') throw refused('home_ns_refused', answer)
    return { hNetId: answer.hNetId, hNsId: answer.hNsId }
  }

  /**
   * Takes an uplink of any session; a confirmed one is acknowledged by the next downlink. A refused one changes nothing.
   * @throws {NetworkServerError} `not_an_uplink`, `dev_addr_unknown`, `f_cnt_replayed`, `mic_mismatch`
   * @throws {FrameError} what is no data frame
   */
  receiveUplink(phyPayload: Uint8Array, metadata: UplinkMetadata = { txDr: 0, txCh: 0 }): ReceivedUplink {
    this.seen.add('frame', phyPayload)
    const frame = decodeDataFrame(phyPayload)
    if (directionOf(frame.mType) !== 'up') throw new NetworkServerError('not_an_uplink', 'This frame is a downlink.')
    const session = this.#sessions.withDevAddr(frame.devAddr)
    if (session === undefined) throw new NetworkServerError('dev_addr_unknown', 'No session has this DevAddr.')
    const fCnt = authenticFCnt(session, frame, metadata, phyPayload)
    if (session.lastFCntUp === undefined) this.#sessions.heard(session)
    session.lastFCntUp = fCnt
    const confirmed = frame.mType === 'confirmed-up'
    if (confirmed) session.dueAck = fCnt
    return {
      devEui: session.devEui,
      fPort: frame.fPort,
      fCnt,
      frmPayload: frame.frmPayload,
      confirmed,
      ack: frame.ack,
      macCommands: macCommandsOf(session, frame, fCnt),
      sessionKeyId: session.sessionKeyId,
      appSKey: session.appSKey,
      nextFCntDown: session.keys.optNeg ? session.nextAFCntDown : session.nextNFCntDown,
    }
  }

  /**
   * A downlink with MIC, ready to send, with the acknowledgement that is due.
   * @throws {NetworkServerError} `device_unknown`, `f_cnt_down_used`, `f_port_invalid`
   */
  sendDownlink(downlink: DownlinkToSend): Uint8Array {
    const session = this.#sessionToSendIn(downlink.devEui)
    const { fPort, frmPayload = new Uint8Array(0), confirmed = false } = downlink
    this.seen.add('application-downlink', frmPayload)
    const fCnt = takeFCntDown(session, downlink)
    const message = encodeDataFrame({
      mType: confirmed ? 'confirmed-down' : 'unconfirmed-down',
      devAddr: session.devAddr,
      adr: false,
      adrAckReq: false,
      ack: session.dueAck !== undefined,
      fPending: false,
      fCnt: fCnt % 0x10000,
      fOpts: new Uint8Array(0),
      ...(fPort !== undefined && { fPort }),
      frmPayload,
    })
    const phyPayload = Uint8Array.of(...message, ...downlinkMic(session, fCnt, message))
    session.dueAck = undefined
    if (confirmed) session.lastConfirmedFCntDown = fCnt
    return phyPayload
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#joinServer.close()
  }

  #hearRejoin(devEui: DevEui, rejoinRequest: Uint8Array, rjCount0: number): NetworkSession {
    const session = authenticSession(this.#sessions.of(devEui), rejoinRequest, rjCount0)
    this.#sessions.heard(session)
    return session
  }

  async #begin(
    request: 'joinReq' | 'rejoinReq',
    phyPayload: Uint8Array,
    joinEui: JoinEui,
    devEui: DevEui,
    options: ActivationOptions,
  ): Promise<Activation> {
    const devAddr = this.#sessions.reserveDevAddr()
    try {
      const { netId, nsId, protocolVersion } = this.#options
      const answer = await this.#joinServer[request]({
        protocolVersion,
        senderId: netId,
        senderNsId: nsId,
        receiverId: joinEui,
        macVersion: options.macVersion,
        phyPayload,
        devEui,
        devAddr,
        dlSettings: answersIn11(options) ? OPT_NEG : 0,
        rxDelay: options.rxDelay ?? 1,
        cfList: options.cfList,
      })
      if (answer.resultCode !== 'Success') throw refused('join_refused', answer)
      const { networkKeys, sessionKeyId, appSKey } = answer
      const keys = networkCiphers(networkKeys, (envelope) => this.#openNetworkKey(envelope))
      if (keys.optNeg !== answersIn11(options)) {
        throw new NetworkServerError('session_keys_unexpected', 'The session keys are of the other LoRaWAN version.')
      }
      this.#sessions.begin({ devEui, joinEui, devAddr, keys, sessionKeyId, appSKey })
      return { devEui, devAddr, phyPayload: answer.phyPayload, sessionKeyId, appSKey }
    } finally {
      this.#sessions.release(devAddr)
    }
  }

  /** In clear inside mutual TLS, or under a KEK of this network. */
  #openNetworkKey(envelope: KeyEnvelope): Uint8Array {
    const key = isWrapped(envelope) ? unwrapKeyEnvelope(envelope, this.#kek(envelope.kekLabel)) : envelope.aesKey
    this.seen.add('network-session-key', key)
    return key
  }

  #kek(label = ''): Uint8Array {
    const kek = this.#options.keks?.get(label)
    if (kek !== undefined) return kek
    throw new NetworkServerError('kek_label_unknown', `This network has no KEK ${JSON.stringify(label)}.`)
  }

  /** The session that was heard; a newer one has to be heard first, and then it is the only one. */
  #sessionToSendIn(devEui: DevEui): NetworkSession {
    const [session] = this.#sessions.of(devEui)
    if (session === undefined) throw new NetworkServerError('device_unknown', 'No session has this DevEUI.')
    return session
  }
}

function answersIn11({ macVersion, optNeg = true }: ActivationOptions): boolean {
  return optNeg && is11(macVersion)
}

function refused(code: 'join_refused' | 'home_ns_refused', answer: FailureAns): NetworkServerError {
  const message = `The join server refused: ${answer.resultCode}. ${answer.description ?? ''}`.trimEnd()
  return new NetworkServerError(code, message, answer.resultCode)
}
