import {
  type BackendInterfacesClient,
  type ClientOptions,
  isWrapped,
  type JoinAns,
  type KeyEnvelope,
  type ProtocolVersion,
  unwrapKeyEnvelope,
} from '@mortise/backend-interfaces'
import {
  type DataFrame,
  type DevAddr,
  type DevEui,
  decodeDataFrame,
  decodeJoinRequest,
  directionOf,
  encodeDataFrame,
  equalMic,
  extendFCnt,
  is11,
  MAX_F_CNT,
  type MacVersion,
  MIC_SIZE,
  type NetId,
  type NsId,
  OPT_NEG,
} from '@mortise/lorawan'
import { devAddrBlock } from './dev-addr.ts'
import { NetworkServerError } from './network-server-error.ts'
import {
  downlinkMic,
  macCommandsOf,
  type NetworkSession,
  networkCiphers,
  type UplinkMetadata,
  uplinkMic,
} from './network-session.ts'
import { SeenLog } from './seen.ts'

export interface NetworkServerOptions {
  readonly netId: NetId
  readonly protocolVersion: ProtocolVersion
  /** Sent in version 1.1 of the Backend Interfaces. */
  readonly nsId?: NsId | undefined
  /** Makes the way to the join server, which must report every exchange: `(onExchange) => createClient({…, onExchange})`. */
  readonly connect: (onExchange: NonNullable<ClientOptions['onExchange']>) => BackendInterfacesClient
  /** The network's own KEKs by label; the application's are nobody's business here. */
  readonly keks?: ReadonlyMap<string, Uint8Array>
}

export interface ActivationOptions {
  /** The highest version common to the network and the device. */
  readonly macVersion: MacVersion
  /** Whether the network answers a device of 1.1 in 1.1; it does unless told otherwise. */
  readonly optNeg?: boolean
  /** In seconds, 0 to 15; 1 unless told otherwise. */
  readonly rxDelay?: number
  /** 16 bytes. */
  readonly cfList?: Uint8Array
}

export interface Activation {
  readonly devEui: DevEui
  readonly devAddr: DevAddr
  /** The join-accept, to be sent to the device. */
  readonly phyPayload: Uint8Array
  /** For the application: what names the session at the join server. */
  readonly sessionKeyId: Uint8Array | undefined
  /** For the application: the AppSKey as it came, which this network cannot open. */
  readonly appSKey: KeyEnvelope | undefined
}

export interface ReceivedUplink {
  readonly devEui: DevEui
  /** Absent when there is no payload. */
  readonly fPort: number | undefined
  /** The full counter. */
  readonly fCnt: number
  /** Encrypted. */
  readonly frmPayload: Uint8Array
  readonly confirmed: boolean
  /** Whether it acknowledges the last confirmed downlink. */
  readonly ack: boolean
  /** The network's part, in clear. */
  readonly macCommands: Uint8Array
  readonly sessionKeyId: Uint8Array | undefined
  readonly appSKey: KeyEnvelope | undefined
  /** The counter that the application's next downlink may have at the lowest. */
  readonly nextFCntDown: number
}

/** Without FPort, FCnt and FRMPayload it carries an acknowledgement alone. */
export interface DownlinkToSend {
  readonly devEui: DevEui
  /** 1 to 255. */
  readonly fPort?: number
  /** As the application encrypted under it. */
  readonly fCnt?: number
  /** Encrypted by the application. */
  readonly frmPayload?: Uint8Array
  readonly confirmed?: boolean
}

/**
 * A small network server of one operator. It holds network session keys only: what the join server sends beside them is
 * passed on unopened. Everything that it gets to know stands in `seen`.
 */
export class NetworkServer implements AsyncDisposable {
  readonly seen = new SeenLog()
  readonly #options: NetworkServerOptions
  readonly #joinServer: BackendInterfacesClient
  readonly #sessions = new Map<DevAddr, NetworkSession>()
  /** At most two of a device: the one that was heard last, and one of a join since. */
  readonly #sessionsOf = new Map<DevEui, NetworkSession[]>()
  /** DevAddrs of join-requests that are at the join server. */
  readonly #reserved = new Set<DevAddr>()
  #lastNwkAddr = 0

  constructor(options: NetworkServerOptions) {
    this.#options = options
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
    const devAddr = this.#reserveDevAddr()
    try {
      const { devEui, answer } = await this.#askJoinServer(joinRequest, devAddr, options)
      const { phyPayload, networkKeys, sessionKeyId, appSKey } = answer
      const keys = networkCiphers(networkKeys, (envelope) => this.#openNetworkKey(envelope))
      if (keys.optNeg !== answersIn11(options)) {
        throw new NetworkServerError('session_keys_unexpected', 'The session keys are of the other LoRaWAN version.')
      }
      this.#begin({ devEui, devAddr, keys, sessionKeyId, appSKey })
      return { devEui, devAddr, phyPayload, sessionKeyId, appSKey }
    } finally {
      this.#reserved.delete(devAddr)
    }
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
    const session = this.#sessions.get(frame.devAddr)
    if (session === undefined) throw new NetworkServerError('dev_addr_unknown', 'No session has this DevAddr.')
    const fCnt = authenticFCnt(session, frame, metadata, phyPayload)
    if (session.lastFCntUp === undefined) this.#endSessions(session.devEui, (other) => other !== session)
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

  async #askJoinServer(
    joinRequest: Uint8Array,
    devAddr: DevAddr,
    options: ActivationOptions,
  ): Promise<{ devEui: DevEui; answer: Extract<JoinAns, { resultCode: 'Success' }> }> {
    const { joinEui, devEui } = decodeJoinRequest(joinRequest)
    const { netId, nsId, protocolVersion } = this.#options
    const answer = await this.#joinServer.joinReq({
      protocolVersion,
      senderId: netId,
      senderNsId: nsId,
      receiverId: joinEui,
      macVersion: options.macVersion,
      phyPayload: joinRequest,
      devEui,
      devAddr,
      dlSettings: answersIn11(options) ? OPT_NEG : 0,
      rxDelay: options.rxDelay ?? 1,
      cfList: options.cfList,
    })
    if (answer.resultCode === 'Success') return { devEui, answer }
    const message = `The join server refused: ${answer.resultCode}. ${answer.description ?? ''}`.trimEnd()
    throw new NetworkServerError('join_refused', message, answer.resultCode)
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

  #reserveDevAddr(): DevAddr {
    const block = devAddrBlock(this.#options.netId)
    for (let tried = 0; tried < block.size; tried++) {
      this.#lastNwkAddr = (this.#lastNwkAddr + 1) % block.size
      const devAddr = block.devAddr(this.#lastNwkAddr)
      if (this.#sessions.has(devAddr) || this.#reserved.has(devAddr)) continue
      this.#reserved.add(devAddr)
      return devAddr
    }
    throw new NetworkServerError('dev_addr_exhausted', 'Every DevAddr of this NetID is in use.')
  }

  #begin(start: Pick<NetworkSession, 'devEui' | 'devAddr' | 'keys' | 'sessionKeyId' | 'appSKey'>): void {
    const counters = {
      lastFCntUp: undefined,
      nextNFCntDown: 0,
      nextAFCntDown: 0,
      dueAck: undefined,
      lastConfirmedFCntDown: undefined,
    }
    const session: NetworkSession = { ...start, ...counters }
    this.#endSessions(session.devEui, (other) => other.lastFCntUp === undefined)
    this.#sessions.set(session.devAddr, session)
    this.#sessionsOf.set(session.devEui, [...(this.#sessionsOf.get(session.devEui) ?? []), session])
  }

  #endSessions(devEui: DevEui, isOver: (session: NetworkSession) => boolean): void {
    const sessions = this.#sessionsOf.get(devEui) ?? []
    for (const { devAddr } of sessions.filter(isOver)) this.#sessions.delete(devAddr)
    this.#sessionsOf.set(
      devEui,
      sessions.filter((session) => !isOver(session)),
    )
  }

  /** The session that was heard; a newer one has to be heard first, and then it is the only one. */
  #sessionToSendIn(devEui: DevEui): NetworkSession {
    const session = this.#sessionsOf.get(devEui)?.[0]
    if (session === undefined) throw new NetworkServerError('device_unknown', 'No session has this DevEUI.')
    return session
  }
}

function answersIn11({ macVersion, optNeg = true }: ActivationOptions): boolean {
  return optNeg && is11(macVersion)
}

function authenticFCnt(
  session: NetworkSession,
  frame: DataFrame,
  metadata: UplinkMetadata,
  phyPayload: Uint8Array,
): number {
  const fCnt = extendFCnt(session.lastFCntUp, frame.fCnt)
  if (fCnt === undefined) throw new NetworkServerError('f_cnt_replayed', 'The uplink is not newer than the last one.')
  const expected = uplinkMic(session, frame, fCnt, metadata, phyPayload.subarray(0, -MIC_SIZE))
  if (!equalMic(expected, frame.mic)) throw new NetworkServerError('mic_mismatch', 'The MIC of the uplink is wrong.')
  return fCnt
}

/** The counter of a downlink: the application's own choice, or the network's next one when there is no payload. */
function takeFCntDown(session: NetworkSession, { fPort, fCnt, frmPayload }: DownlinkToSend): number {
  if (fPort === undefined && fCnt === undefined && frmPayload === undefined) return session.nextNFCntDown++
  if (fCnt === undefined || frmPayload === undefined || !isApplicationPort(fPort)) {
    throw new NetworkServerError('f_port_invalid', 'A payload needs an FPort of 1 to 255, and the FCnt it belongs to.')
  }
  const counter = session.keys.optNeg ? 'nextAFCntDown' : 'nextNFCntDown'
  if (!Number.isInteger(fCnt) || fCnt < session[counter] || fCnt > MAX_F_CNT) {
    throw new NetworkServerError('f_cnt_down_used', `FCnt ${fCnt} is not from ${session[counter]} on.`)
  }
  session[counter] = fCnt + 1
  return fCnt
}

function isApplicationPort(fPort: number | undefined): boolean {
  return fPort !== undefined && Number.isInteger(fPort) && fPort >= 1 && fPort <= 255
}
