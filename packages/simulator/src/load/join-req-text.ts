import { bytesToHex, type DevAddr, type DevEui, type JoinEui, type NetId } from '@mortise/lorawan'
import type { AcceptParameters } from './accept-parameters.ts'

/** TransactionIDs of ten digits, so that all requests are of one size. */
const FIRST_TRANSACTION_ID = 1_000_000_000
const LAST_TRANSACTION_ID = 4_000_000_000

/** Makes JoinReqs as a network server sends them (ChirpStack v4, Backend Interfaces 1.0), most of the text beforehand. */
export class JoinReqText {
  readonly #start: string
  readonly #end: string
  #transactionId = FIRST_TRANSACTION_ID

  constructor(network: { netId: NetId; joinEui: JoinEui; macVersion: string; accept: AcceptParameters }) {
    const { netId, joinEui, macVersion, accept } = network
    const cfList = accept.cfList === undefined ? '' : `,"CFList":"${bytesToHex(accept.cfList)}"`
    const dlSettings = bytesToHex(Uint8Array.of(accept.dlSettings))
    this.#start =
      `{"ProtocolVersion":"1.0","SenderID":"${netId}","ReceiverID":"${joinEui}","MessageType":"JoinReq",` +
      `"MACVersion":"${macVersion}"`
    this.#end = `,"DLSettings":"${dlSettings}","RxDelay":${accept.rxDelay}${cfList}}`
  }

  encode(phyPayload: Uint8Array, devEui: DevEui, devAddr: DevAddr): { body: string; transactionId: number } {
    const transactionId = this.#transactionId++
    if (this.#transactionId > LAST_TRANSACTION_ID) this.#transactionId = FIRST_TRANSACTION_ID
    const frame = `,"PHYPayload":"${bytesToHex(phyPayload)}","DevEUI":"${devEui}","DevAddr":"${devAddr}"`
    return { body: `${this.#start},"TransactionID":${transactionId}${frame}${this.#end}`, transactionId }
  }
}
