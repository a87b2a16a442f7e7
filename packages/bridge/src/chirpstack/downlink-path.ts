import deviceGrpc from '@chirpstack/chirpstack-api/api/device_grpc_pb.js'
import devicePb from '@chirpstack/chirpstack-api/api/device_pb.js'
import { type Metadata, type requestCallback, type ServiceError, status } from '@grpc/grpc-js'
import type { DevEui } from '@mortise/lorawan'
import type { ServiceAddress } from '../config.ts'
import { BridgeError } from '../errors.ts'
import { requireSameSession } from '../same-session.ts'
import type { DownlinkPath, SealedDownlink } from '../source.ts'
import { printable } from '../topic.ts'
import { apiChannel } from './api-channel.ts'
import { devAddrOfAddress } from './topics.ts'

const DEADLINE_MS = 10_000

/** What says that nothing was queued, and that the same request is refused again (gRPC status codes). */
const REFUSALS: ReadonlySet<status> = new Set([
  status.INVALID_ARGUMENT,
  status.NOT_FOUND,
  status.ALREADY_EXISTS,
  status.PERMISSION_DENIED,
  status.FAILED_PRECONDITION,
  status.OUT_OF_RANGE,
  status.UNIMPLEMENTED,
  status.UNAUTHENTICATED,
])

type Call<Answer> = (callback: requestCallback<Answer>) => void

/**
 * Downlinks to ChirpStack by its gRPC API (api.DeviceService). `is_encrypted` tells it that the payload is sealed, and
 * `f_cnt_down` under which counter: it sends such an item under exactly that counter or not at all.
 */
export class ChirpStackDownlinks implements DownlinkPath {
  readonly #client: deviceGrpc.DeviceServiceClient
  readonly #metadata: Metadata

  /** @throws {BridgeError} `config_invalid` */
  constructor(address: ServiceAddress) {
    const { target, channel, metadata } = apiChannel(address)
    this.#metadata = metadata
    this.#client = new deviceGrpc.DeviceServiceClient(target, channel)
  }

  /** @throws {BridgeError} `downlink_refused`; `downlink_unknown`: no answer, and nothing was sealed yet */
  async nextFCntDown(devEui: DevEui): Promise<number> {
    const request = new devicePb.GetDeviceNextFCntDownRequest()
    request.setDevEui(devEui)
    const answer = await answered<devicePb.GetDeviceNextFCntDownResponse>((callback) =>
      this.#client.getNextFCntDown(request, this.#metadata, { deadline: Date.now() + DEADLINE_MS }, callback),
    )
    return answer.getFCntDown()
  }

  async send(sealed: SealedDownlink): Promise<void> {
    const { devEui, fPort, fCnt, frmPayload, confirmed } = sealed
    requireSameSession(sealed, devAddrOfAddress(sealed.address))
    const item = new devicePb.DeviceQueueItem()
    item.setDevEui(devEui)
    item.setFPort(fPort)
    item.setFCntDown(fCnt)
    item.setData(frmPayload)
    item.setConfirmed(confirmed)
    item.setIsEncrypted(true)
    const request = new devicePb.EnqueueDeviceQueueItemRequest()
    request.setQueueItem(item)
    await answered<devicePb.EnqueueDeviceQueueItemResponse>((callback) =>
      this.#client.enqueue(request, this.#metadata, { deadline: Date.now() + DEADLINE_MS }, callback),
    )
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#client.close()
    return Promise.resolve()
  }
}

async function answered<Answer>(call: Call<Answer>): Promise<Answer> {
  return await new Promise((resolve, reject) => {
    call((error, answer) => {
      if (answer !== undefined) resolve(answer)
      else
        reject(
          error === null ? new BridgeError('downlink_unknown', 'ChirpStack gave an empty answer.') : failure(error),
        )
    })
  })
}

function failure(error: ServiceError): BridgeError {
  const code = REFUSALS.has(error.code) ? 'downlink_refused' : 'downlink_unknown'
  return new BridgeError(code, `ChirpStack: ${status[error.code]}: ${printable(error.details)}`, { cause: error })
}
