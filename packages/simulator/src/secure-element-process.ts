import { bytesToHex, type DevEui, parseDevAddr, parseNetId } from '@mortise/lorawan'
import { CommandError, CommandProcess } from './command-process.ts'
import { SECURE_ELEMENT_MAIN } from './main-urls.ts'
import type { Members } from './members.ts'
import type {
  DeviceIdentity,
  DownlinkToVerify,
  FOptsToCrypt,
  FrmPayloadToCrypt,
  JoinResult,
  RejoinToSign,
  RootKeys,
  SecureElement,
  UplinkToSign,
} from './secure-element.ts'
import { SECURE_ELEMENT_ERROR_CODES, SecureElementError } from './secure-element-error.ts'

export interface SecureElementProcessOptions {
  /** Sees every line that the secure element writes, which is all that ever comes out of it. */
  readonly onLine?: ((line: string) => void) | undefined
}

/** A secure element in a process of its own, for as many devices as are created in it. It ends with us at the latest. */
export class SecureElementProcess implements SecureElement {
  readonly #process: CommandProcess

  constructor({ onLine }: SecureElementProcessOptions = {}) {
    this.#process = new CommandProcess({ program: SECURE_ELEMENT_MAIN, onLine })
  }

  async createDevice({ devEui, joinEui, macVersion }: DeviceIdentity): Promise<void> {
    await this.#request('createDevice', { devEui, joinEui, macVersion })
  }

  async takeRootKeysForProvisioning(devEui: DevEui): Promise<RootKeys> {
    const result = await this.#request('takeRootKeysForProvisioning', { devEui })
    const appKey = result.bytes('appKey')
    return result.has('nwkKey') ? { appKey, nwkKey: result.bytes('nwkKey') } : { appKey }
  }

  async signJoinRequest(devEui: DevEui, devNonce: number): Promise<Uint8Array> {
    const result = await this.#request('signJoinRequest', { devEui, devNonce })
    return result.bytes('phyPayload')
  }

  async signRejoinRequest(devEui: DevEui, rejoin: RejoinToSign): Promise<Uint8Array> {
    const result = await this.#request('signRejoinRequest', { ...rejoin, devEui })
    return result.bytes('phyPayload')
  }

  async processJoinAccept(devEui: DevEui, phyPayload: Uint8Array): Promise<JoinResult> {
    const result = await this.#request('processJoinAccept', { devEui, phyPayload: bytesToHex(phyPayload) })
    return {
      joinNonce: result.number('joinNonce'),
      netId: parseNetId(result.text('netId')),
      devAddr: parseDevAddr(result.text('devAddr')),
      dlSettings: result.number('dlSettings'),
      rxDelay: result.number('rxDelay'),
      ...(result.has('cfList') && { cfList: result.bytes('cfList') }),
      optNeg: result.flag('optNeg'),
    }
  }

  async signUplink(devEui: DevEui, uplink: UplinkToSign): Promise<Uint8Array> {
    const result = await this.#request('signUplink', { ...uplink, devEui, message: bytesToHex(uplink.message) })
    return result.bytes('mic')
  }

  async verifyDownlink(devEui: DevEui, downlink: DownlinkToVerify): Promise<boolean> {
    const { message, mic } = downlink
    const bytes = { message: bytesToHex(message), mic: bytesToHex(mic) }
    const result = await this.#request('verifyDownlink', { ...downlink, devEui, ...bytes })
    return result.flag('valid')
  }

  async cryptFrmPayload(devEui: DevEui, frame: FrmPayloadToCrypt): Promise<Uint8Array> {
    const result = await this.#request('cryptFrmPayload', { ...frame, devEui, payload: bytesToHex(frame.payload) })
    return result.bytes('payload')
  }

  async cryptFOpts(devEui: DevEui, frame: FOptsToCrypt): Promise<Uint8Array> {
    const result = await this.#request('cryptFOpts', { ...frame, devEui, fOpts: bytesToHex(frame.fOpts) })
    return result.bytes('fOpts')
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#process[Symbol.asyncDispose]()
  }

  async #request(command: keyof SecureElement & string, members: Readonly<Record<string, unknown>>): Promise<Members> {
    try {
      return await this.#process.request(command, members)
    } catch (error) {
      if (!(error instanceof CommandError)) throw error
      const code = SECURE_ELEMENT_ERROR_CODES.find((known) => known === error.code)
      if (code === undefined) throw error
      throw new SecureElementError(code, error.message)
    }
  }
}
