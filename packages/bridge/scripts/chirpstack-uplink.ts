import { createCipheriv, createHash, randomUUID } from 'node:crypto'
import { cryptFrmPayload, type DevAddr, parseDevAddr } from '@mortise/lorawan'
import { createBlockCipher } from '@mortise/lorawan/node-aes'

export const KEK = Buffer.alloc(16, 0x4b)
export const KEK_LABEL = 'bench-1'

/** A device of a network, with its session. */
export class BenchDevice {
  readonly devEui: string
  readonly topic: string
  readonly #devAddr: DevAddr
  readonly #cipher: ReturnType<typeof createBlockCipher>
  readonly #aesKey: string
  #fCnt = 0

  constructor(number: number) {
    this.devEui = (0x70b3d57e00000000n + BigInt(number)).toString(16)
    this.topic = `application/bench/device/${this.devEui}/event/up`
    this.#devAddr = parseDevAddr((0x26000000 + number).toString(16))
    const appSKey = createHash('sha256').update(this.devEui).digest().subarray(0, 16)
    this.#cipher = createBlockCipher(appSKey)
    this.#aesKey = createCipheriv('id-aes128-wrap', KEK, Buffer.alloc(8, 0xa6)).update(appSKey).toString('base64')
  }

  /** The next uplink, as ChirpStack v4 publishes it; about 1.3 kB. */
  uplink(payload: Uint8Array): string {
    const fCnt = this.#fCnt++
    const data = cryptFrmPayload(this.#cipher, 'up', this.#devAddr, fCnt, payload)
    return JSON.stringify({
      deduplicationId: randomUUID(),
      time: new Date().toISOString(),
      deviceInfo: {
        tenantId: '52f14cd4-c6f1-4fbd-8f87-4025e1d49242',
        tenantName: 'ChirpStack',
        applicationId: '8ecd2a2e-9b3e-4f4f-9c5a-1c5d2a1d9a31',
        applicationName: 'bench',
        deviceProfileId: '14855bf7-d10d-4aee-b618-ebfcb64dc7ad',
        deviceProfileName: 'sensor',
        deviceName: `device ${this.devEui}`,
        devEui: this.devEui,
        deviceClassEnabled: 'CLASS_A',
        tags: { key: 'value' },
      },
      devAddr: this.#devAddr,
      adr: true,
      dr: 5,
      fCnt,
      fPort: 2,
      confirmed: false,
      data: Buffer.from(data).toString('base64'),
      rxInfo: ['0016c001f153a14c', '0016c001f153a14d'].map((gatewayId, index) => ({
        gatewayId,
        uplinkId: 4217106255 + index,
        nsTime: new Date().toISOString(),
        rssi: -36 - index,
        snr: 10.5,
        channel: 2,
        location: { latitude: 52.1, longitude: 4.3, altitude: 12 },
        context: 'E3OWOQ==',
        metadata: { region_name: 'eu868', region_common_name: 'EU868' },
        crcStatus: 'CRC_OK',
      })),
      txInfo: {
        frequency: 867100000,
        modulation: { lora: { bandwidth: 125000, spreadingFactor: 7, codeRate: 'CR_4_5' } },
      },
      joinServerContext: {
        sessionKeyId: this.devEui,
        appSKey: { kekLabel: KEK_LABEL, aesKey: this.#aesKey },
      },
      regionConfigId: 'eu868',
    })
  }
}
