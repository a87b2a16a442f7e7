import templateService from '@chirpstack/chirpstack-api/api/device_profile_template_grpc_pb.js'
import templates from '@chirpstack/chirpstack-api/api/device_profile_template_pb.js'
import { Server, ServerCredentials, status, type UntypedServiceImplementation } from '@grpc/grpc-js'

/** ChirpStack's gRPC API, as far as its list of templates goes: every API key may read it, and nobody else. */
export class ChirpStackApi implements Disposable {
  readonly #server = new Server()
  port = 0

  static async start(apiKey: string): Promise<ChirpStackApi> {
    const api = new ChirpStackApi()
    const implementation: UntypedServiceImplementation = {
      list: (
        call: { metadata: { get(name: string): unknown[] } },
        answer: (error: object | null, value?: object) => void,
      ) => {
        // As chirpstack/src/api/auth/validator.rs answers a key that it does not know: without a word.
        if (call.metadata.get('authorization')[0] !== `Bearer ${apiKey}`)
          answer({ code: status.UNAUTHENTICATED, details: '' })
        else answer(null, new templates.ListDeviceProfileTemplatesResponse())
      },
    }
    api.#server.addService(templateService.DeviceProfileTemplateServiceService, implementation)
    api.port = await new Promise((resolve, reject) => {
      api.#server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, port) => {
        if (error === null) resolve(port)
        else reject(error)
      })
    })
    return api
  }

  [Symbol.dispose](): void {
    this.#server.forceShutdown()
  }
}
