import type { DevEui } from '@mortise/lorawan'
import type { ServiceAddress } from '../config.ts'
import { BridgeError } from '../errors.ts'
import { isMembers, parseJson } from '../event-json.ts'
import { HttpService } from '../http-service.ts'
import type { DownlinkPath, SealedDownlink } from '../source.ts'
import { printable } from '../topic.ts'
import { decodeAddress } from './device-address.ts'
import { downlinkMessage, nextFCntDown } from './downlink-message.ts'

/** Names nothing that must exist: the route wants a webhook's identifier, and looks it up for rate limits alone. */
const WEBHOOK_ID = 'mortise-bridge'

const TIMEOUT_MS = 10_000

/** How many devices' lowest counters are remembered. */
const MAX_FLOORS = 10_000

/**
 * Downlinks by the HTTP API: POST /api/v3/as/applications/APP/webhooks/ID/devices/DEVICE/down/push, with an API key that
 * has RIGHT_APPLICATION_TRAFFIC_DOWN_WRITE (pkg/applicationserver/io/web/webhooks.go, RegisterRoutes).
 */
export class TheThingsStackHttpDownlinks implements DownlinkPath {
  readonly #service: HttpService
  readonly #floors = new Map<DevEui, number>()

  /** @throws {BridgeError} `config_invalid` */
  constructor(address: ServiceAddress) {
    this.#service = new HttpService(address, TIMEOUT_MS)
  }

  /** As the last uplink told, or the Network Server when it refused a lower one. */
  nextFCntDown(devEui: DevEui, address: string): Promise<number> {
    return Promise.resolve(Math.max(nextFCntDown(decodeAddress(address)), this.#floors.get(devEui) ?? 0))
  }

  async send(downlink: SealedDownlink): Promise<void> {
    const address = decodeAddress(downlink.address)
    const path = `/api/v3/as/applications/${address.applicationId}/webhooks/${WEBHOOK_ID}/devices/${address.deviceId}/down/push`
    const { status, body } = await this.#post(path, downlinkMessage(downlink, address))
    if (status >= 200 && status < 300) return
    const floor = minFCntDown(body)
    if (floor !== undefined) this.#remember(downlink.devEui, floor)
    const passes = status >= 500 || status === 408 || status === 425 || status === 429
    throw new BridgeError(passes ? 'downlink_unknown' : 'downlink_refused', describe(status, body))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#service.close()
  }

  async #post(path: string, message: string): Promise<{ status: number; body: unknown }> {
    try {
      const { status, text } = await this.#service.post(Buffer.from(message), 'application/json', path)
      return { status, body: parseJson(text) }
    } catch (cause) {
      throw new BridgeError('downlink_unknown', 'The Things Stack gave no answer to the downlink.', { cause })
    }
  }

  #remember(devEui: DevEui, floor: number): void {
    this.#floors.delete(devEui)
    this.#floors.set(devEui, floor)
    const [oldest] = this.#floors.keys()
    if (this.#floors.size > MAX_FLOORS && oldest !== undefined) this.#floors.delete(oldest)
  }
}

/** DownlinkQueueOperationErrorDetails.min_f_cnt_down, somewhere in the nested details of an error. */
function minFCntDown(value: unknown, depth = 0): number | undefined {
  if (depth > 8) return undefined
  if (Array.isArray(value)) return value.map((one) => minFCntDown(one, depth + 1)).find((one) => one !== undefined)
  if (!isMembers(value)) return undefined
  const { min_f_cnt_down: floor, details } = value
  return typeof floor === 'number' && Number.isInteger(floor) && floor >= 0 && floor <= 0xffff_ffff
    ? floor
    : minFCntDown(details, depth + 1)
}

function describe(status: number, body: unknown): string {
  const message = isMembers(body) && typeof body['message'] === 'string' ? `: ${printable(body['message'])}` : ''
  return `The Things Stack answered the downlink with HTTP ${status}${message}.`
}
