import { randomBytes } from 'node:crypto'
import {
  type DevEui,
  type JoinEui,
  type MacVersion,
  type NetId,
  parseDevEui,
  parseJoinEui,
  parseNetId,
} from '@mortise/lorawan'
import { createRequire } from 'node:module'
import type declared from 'lora-packet'
import type { JoinCommand } from '../../src/contract/join.ts'
import type { DeviceAdd, DeviceReference } from '../../src/orders/order.ts'
import { aesBlock, aesCmac } from '../soft/crypto-oracle.ts'
import { newId } from './operator.ts'

/** LoRaWAN by others; by `require`, because its CommonJS module is what its types declare as the `default` in it. */
const loraPacket = createRequire(import.meta.url)('lora-packet') as (typeof declared)['default']

export const NET_ID: NetId = parseNetId('000013')
export const OTHER_NET_ID: NetId = parseNetId('000024')

/** What the network server asks for, beside the frame. */
export type JoinParameters = Pick<JoinCommand, 'netId' | 'devAddr' | 'dlSettings' | 'rxDelay' | 'cfList' | 'joinNonce'>

export const PARAMETERS: JoinParameters = {
  netId: Buffer.from(NET_ID, 'hex'),
  devAddr: Buffer.from('26011bda', 'hex'),
  dlSettings: 0x03,
  rxDelay: 1,
  cfList: undefined,
  joinNonce: 0x000102,
}

export interface ExpectedJoin {
  /** Join-accept in clear, with MHDR and MIC. */
  readonly accept: Buffer
  /** In the order of the contract: NwkSKey, or F, S, NwkSEnc. */
  readonly networkKeys: readonly Buffer[]
  readonly appSKey: Buffer
}

/** A device with its root keys, and what it would compute: nothing here comes from the code under test. */
export class TestDevice {
  readonly id = newId()
  readonly devEui: DevEui = parseDevEui(randomBytes(8).toString('hex'))
  readonly joinEui: JoinEui = parseJoinEui(randomBytes(8).toString('hex'))
  readonly appKey = randomBytes(16)
  readonly nwkKey: Buffer | undefined
  readonly macVersion: MacVersion

  constructor(macVersion: MacVersion) {
    this.macVersion = macVersion
    this.nwkKey = macVersion === '1.1.0' ? randomBytes(16) : undefined
  }

  get keys(): Buffer[] {
    return this.nwkKey === undefined ? [this.appKey] : [this.appKey, this.nwkKey]
  }

  /** The change that enrols it, with its keys at `firstKey` of the envelope. */
  add(owner: string, policy: Partial<DeviceAdd> = {}, firstKey = 0): DeviceAdd {
    return {
      action: 'device.add',
      device: this.id,
      owner,
      devEui: this.devEui,
      joinEui: this.joinEui,
      macVersion: this.macVersion,
      appKey: firstKey,
      ...(this.nwkKey && { nwkKey: firstKey + 1 }),
      applicationServers: [],
      networkIsApplicationServer: false,
      networks: [NET_ID],
      ...policy,
    }
  }

  /** How an order names it. */
  reference(replaces: number): DeviceReference {
    return { device: this.id, devEui: this.devEui, joinEui: this.joinEui, replaces }
  }

  /** The 23 bytes on air. */
  joinRequest(devNonce: number): Buffer {
    const frame = Buffer.alloc(23)
    reversed(this.joinEui).copy(frame, 1)
    reversed(this.devEui).copy(frame, 9)
    frame.writeUInt16LE(devNonce, 17)
    aesCmac(this.#networkRoot, frame.subarray(0, 19)).copy(frame, 19, 0, 4)
    return frame
  }

  /** A rejoin-request: types 0 and 2 have a MIC under a key that nobody here has. */
  rejoinRequest(rejoinType: 0 | 1 | 2, rjCount: number): Buffer {
    const name = rejoinType === 1 ? reversed(this.joinEui) : Buffer.from(NET_ID, 'hex').reverse()
    const message = Buffer.concat([
      Buffer.of(0xc0, rejoinType),
      name,
      reversed(this.devEui),
      uint(2, rjCount).reverse(),
    ])
    const mic = rejoinType === 1 ? aesCmac(this.#jsKeys.JSIntKey, message).subarray(0, 4) : randomBytes(4)
    return Buffer.concat([message, mic])
  }

  /** The join-accept as the device decrypts it: by AES encryption, after a rejoin under JSEncKey. */
  decrypt(phyPayload: Buffer, answered: 'join' | 'rejoin' = 'join'): Buffer {
    const key = answered === 'join' ? this.#networkRoot : this.#jsKeys.JSEncKey
    const blocks: Buffer[] = []
    for (let start = 1; start < phyPayload.length; start += 16)
      blocks.push(aesBlock(key, phyPayload.subarray(start, start + 16)))
    return Buffer.concat([phyPayload.subarray(0, 1), ...blocks])
  }

  expect(devNonce: number, parameters: JoinParameters): ExpectedJoin {
    const optNeg = this.nwkKey !== undefined && (parameters.dlSettings & 0x80) !== 0
    return optNeg ? this.#expect11(0xff, devNonce, parameters) : this.#expect10(devNonce, parameters)
  }

  /** LoRaWAN 1.1 §6.2.5: the rejoin type in the MIC, RJcount where a join has DevNonce. */
  expectRejoin(rejoinType: 0 | 1 | 2, rjCount: number, parameters: JoinParameters): ExpectedJoin {
    return this.#expect11(rejoinType, rjCount, parameters)
  }

  get #networkRoot(): Buffer {
    return this.nwkKey ?? this.appKey
  }

  get #jsKeys(): { readonly JSIntKey: Buffer; readonly JSEncKey: Buffer } {
    return loraPacket.generateJSKeys(this.#networkRoot, Buffer.from(this.devEui, 'hex'))
  }

  #expect10(devNonce: number, parameters: JoinParameters): ExpectedJoin {
    const { netId, joinNonce } = parameters
    const keys = loraPacket.generateSessionKeys10(this.#networkRoot, netId, uint(3, joinNonce), uint(2, devNonce))
    const payload = acceptPayload(parameters)
    const mic = aesCmac(this.#networkRoot, payload).subarray(0, 4)
    return { accept: Buffer.concat([payload, mic]), networkKeys: [keys.NwkSKey], appSKey: keys.AppSKey }
  }

  #expect11(joinReqType: number, devNonce: number, parameters: JoinParameters): ExpectedJoin {
    const nwkKey = this.#networkRoot
    const joinEui = Buffer.from(this.joinEui, 'hex')
    const joinNonce = uint(3, parameters.joinNonce)
    const keys = loraPacket.generateSessionKeys11(this.appKey, nwkKey, joinEui, joinNonce, uint(2, devNonce))
    const { JSIntKey } = this.#jsKeys
    const payload = acceptPayload(parameters)
    const prefix = Buffer.concat([Buffer.of(joinReqType), reversed(this.joinEui), uint(2, devNonce).reverse()])
    const mic = aesCmac(JSIntKey, Buffer.concat([prefix, payload])).subarray(0, 4)
    return {
      accept: Buffer.concat([payload, mic]),
      networkKeys: [keys.FNwkSIntKey, keys.SNwkSIntKey, keys.NwkSEncKey],
      appSKey: keys.AppSKey,
    }
  }
}

/** LoRaWAN 1.1 §6.2.6, in the order on air. */
function acceptPayload({ joinNonce, netId, devAddr, dlSettings, rxDelay, cfList }: JoinParameters): Buffer {
  return Buffer.concat([
    Buffer.of(0x20),
    uint(3, joinNonce).reverse(),
    Buffer.from(netId).reverse(),
    Buffer.from(devAddr).reverse(),
    Buffer.of(dlSettings, rxDelay),
    cfList ?? Buffer.alloc(0),
  ])
}

function uint(size: number, value: number): Buffer {
  const bytes = Buffer.alloc(size)
  bytes.writeUIntBE(value, 0, size)
  return bytes
}

function reversed(hex: string): Buffer {
  return Buffer.from(hex, 'hex').reverse()
}
