import type { DatabaseSync, StatementSync } from 'node:sqlite'
import type { DevEui } from '@mortise/lorawan'
import { readQueueFile } from './queue-file.ts'

/** What the network's last event of a device told, for downlinks to it. */
export interface DeviceAddress {
  /** In the network's words. */
  readonly address: string
  /** The name of the device's kind, by which an owner may choose a codec. */
  readonly profile: string | undefined
}

export const SELECT_ADDRESS = 'SELECT address, profile FROM device WHERE dev_eui = ?'

/** From a row of {@link SELECT_ADDRESS}. */
export function addressFrom(row: ReturnType<StatementSync['get']>): DeviceAddress | undefined {
  if (row === undefined) return undefined
  const { address, profile } = row
  return { address: String(address), profile: typeof profile === 'string' ? profile : undefined }
}

/** The addresses of devices in a data directory, read beside a bridge that may run on it. */
export class DeviceAddresses implements Disposable {
  readonly #database: DatabaseSync
  readonly #select: StatementSync

  /** @throws {BridgeError} `queue_unusable`, also when no bridge has run on the directory yet */
  constructor(directory: string) {
    this.#database = readQueueFile(directory)
    this.#select = this.#database.prepare(SELECT_ADDRESS)
  }

  addressOf(devEui: DevEui): DeviceAddress | undefined {
    return addressFrom(this.#select.get(devEui))
  }

  [Symbol.dispose](): void {
    if (this.#database.isOpen) this.#database.close()
  }
}
