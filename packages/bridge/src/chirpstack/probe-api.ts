import templateService from '@chirpstack/chirpstack-api/api/device_profile_template_grpc_pb.js'
import templates from '@chirpstack/chirpstack-api/api/device_profile_template_pb.js'
import { type ServiceError, status } from '@grpc/grpc-js'
import type { ServiceAddress } from '../config.ts'
import { printable } from '../topic.ts'
import { apiChannel } from './api-channel.ts'

/**
 * - `refused`: ChirpStack does not know the API key.
 * - `unreachable`: no gRPC came back: name, port, TLS, or another program; see `detail`.
 */
export interface ApiProblem {
  readonly kind: 'refused' | 'unreachable'
  /** For an operator; no secret. */
  readonly detail: string
}

const TIMEOUT_MS = 5000

/**
 * Asks ChirpStack for the templates of device profiles: a list that every API key may read (ChirpStack 4,
 * chirpstack/src/api/auth/validator.rs), and no other may. Undefined when all is well.
 * @throws {BridgeError} `config_invalid`
 */
export async function probeChirpStackApi(service: ServiceAddress): Promise<ApiProblem | undefined> {
  const { target, channel, metadata } = apiChannel(service)
  const client = new templateService.DeviceProfileTemplateServiceClient(target, channel)
  try {
    const error = await new Promise<ServiceError | null>((resolve) => {
      const request = new templates.ListDeviceProfileTemplatesRequest()
      client.list(request, metadata, { deadline: Date.now() + TIMEOUT_MS }, resolve)
    })
    return error === null ? undefined : problemOf(error)
  } finally {
    client.close()
  }
}

function problemOf({ code, details }: ServiceError): ApiProblem | undefined {
  switch (code) {
    case status.UNAUTHENTICATED:
    case status.PERMISSION_DENIED:
      return { kind: 'refused', detail: details === '' ? 'no reason was given' : printable(details) }
    // It was let in; a release without these templates.
    case status.UNIMPLEMENTED:
      return undefined
    default:
      return { kind: 'unreachable', detail: printable(details) }
  }
}
