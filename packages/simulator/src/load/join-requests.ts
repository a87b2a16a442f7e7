import type { DevAddr, NetId } from '@mortise/lorawan'
import { type DevAddrBlock, devAddrBlock } from '../dev-addr.ts'
import type { AcceptParameters } from './accept-parameters.ts'
import { JoinReqText } from './join-req-text.ts'
import { readJoinAns } from './load-answer.ts'
import type { LoadDevices } from './load-devices.ts'
import { loadDevEui } from './load-fleet.ts'

/** A JoinReq, and what its device, its network and its owner make of the answer. */
export interface JoinExchange {
  readonly body: string
  /** @throws {RefusedError} @throws {WrongAnswerError} */
  readonly check: (answer: string) => void
}

export interface JoinRequestsOptions {
  readonly devices: LoadDevices
  readonly netId: NetId
  readonly accept: AcceptParameters
  /** What the AppSKeys must be wrapped under. */
  readonly kekLabel: string
}

/** The join-requests of a fleet as one network server passes them on. */
export class JoinRequests {
  readonly #devices: LoadDevices
  readonly #kekLabel: string
  readonly #text: JoinReqText
  readonly #devAddrs: DevAddrBlock
  #nwkAddr = 0

  constructor({ devices, netId, accept, kekLabel }: JoinRequestsOptions) {
    const { joinEui, macVersion } = devices.fleet
    this.#devices = devices
    this.#kekLabel = kekLabel
    this.#text = new JoinReqText({ netId, joinEui, macVersion, accept })
    this.#devAddrs = devAddrBlock(netId)
  }

  get devices(): number {
    return this.#devices.fleet.size
  }

  /** The next join-request of a device, under a new DevNonce and with a new DevAddr. */
  next(index: number): JoinExchange {
    const devAddr = this.#nextDevAddr()
    const { devNonce, phyPayload } = this.#devices.joinRequest(index)
    const { body, transactionId } = this.#text.encode(phyPayload, loadDevEui(this.#devices.fleet, index), devAddr)
    return {
      body,
      check: (answer) => {
        const keys = readJoinAns(answer, { transactionId, kekLabel: this.#kekLabel })
        this.#devices.checkAnswer({ index, devNonce, devAddr }, keys)
      },
    }
  }

  #nextDevAddr(): DevAddr {
    this.#nwkAddr = (this.#nwkAddr + 1) % this.#devAddrs.size
    return this.#devAddrs.devAddr(this.#nwkAddr)
  }
}
