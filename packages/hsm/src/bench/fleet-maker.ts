import { randomBytes } from 'node:crypto'
import type { DevEui } from '@mortise/lorawan'
import type { Custody } from '../custody/custody.ts'
import { HsmError } from '../errors.ts'
import { parseEnvelope } from '../orders/envelope.ts'
import { DEVICE_ID_BYTES, encodeDeviceRecord, RECEIPT_SALT_BYTES, type RootKeyBlobs } from '../records/device-record.ts'
import { toBuffer } from '../worker/messages.ts'
import type { BenchFleet } from './dialogue.ts'

/**
 * Makes device records in masses, with the functions that orders use: signed orders for a million devices would take
 * hours. Each root key of the pool goes through an envelope and is wrapped once; every record is tagged on its own.
 */
export class FleetMaker {
  readonly #custody: Custody
  readonly #fleet: BenchFleet
  readonly #appKeys: readonly RootKeyBlobs[]
  readonly #nwkKeys: readonly RootKeyBlobs[]

  /** @throws HsmError envelope_damaged */
  constructor(custody: Custody, fleet: BenchFleet) {
    this.#custody = custody
    this.#fleet = fleet
    this.#appKeys = importRootKeys(custody, fleet.appKeys)
    this.#nwkKeys = importRootKeys(custody, fleet.nwkKeys)
  }

  /** The record of device `index` of the fleet. @throws HsmError key_missing */
  device(index: number, devEui: DevEui): Buffer {
    const { macVersion, joinEui, owner, networks, applicationServers } = this.#fleet
    const appKey = this.#appKeys[index % this.#appKeys.length]
    const nwkKey = this.#nwkKeys[index % this.#nwkKeys.length]
    if (appKey === undefined) throw new HsmError('key_missing', 'AppKey')
    return encodeDeviceRecord(
      {
        ...{ devEui, joinEui, macVersion, networks, applicationServers },
        ...{ deviceId: randomBytes(DEVICE_ID_BYTES), receiptSalt: randomBytes(RECEIPT_SALT_BYTES) },
        ...{ owner: toBuffer(owner), recordVersion: 1, keyGeneration: 1, networkIsApplicationServer: false, appKey },
        ...(nwkKey && { nwkKey }),
      },
      this.#custody.storageKeyId,
      (message) => this.#custody.token.tag(message),
    )
  }
}

function importRootKeys({ token }: Custody, envelopes: readonly Uint8Array[]): RootKeyBlobs[] {
  return envelopes.flatMap((sealed) => {
    const envelope = parseEnvelope(toBuffer(sealed))
    const transport = token.openTransport(envelope.transport)
    try {
      return envelope.keys.map((wrapped) => token.importRoot(transport, wrapped))
    } finally {
      token.close(transport)
    }
  })
}
