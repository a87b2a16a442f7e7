import templateService from '@chirpstack/chirpstack-api/api/device_profile_template_grpc_pb.js'
import templates from '@chirpstack/chirpstack-api/api/device_profile_template_pb.js'
import { type ChannelCredentials, credentials, Metadata, type ServiceError, status } from '@grpc/grpc-js'
import type { ServiceAddress } from '../config.ts'

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
 */
export async function probeChirpStackApi(service: ServiceAddress): Promise<ApiProblem | undefined> {
  const { host, protocol } = new URL(service.url)
  const target = /:\d+$/.test(host) ? host : `${host}:${protocol === 'https:' ? 443 : 80}`
  const client = new templateService.DeviceProfileTemplateServiceClient(target, channelCredentials(service, protocol))
  try {
    const error = await new Promise<ServiceError | null>((resolve) => {
      const request = new templates.ListDeviceProfileTemplatesRequest()
      client.list(request, metadataOf(service), { deadline: Date.now() + TIMEOUT_MS }, resolve)
    })
    return error === null ? undefined : problemOf(error)
  } finally {
    client.close()
  }
}

function channelCredentials({ ca, cert, key }: ServiceAddress, protocol: string): ChannelCredentials {
  if (protocol !== 'https:') return credentials.createInsecure()
  return credentials.createSsl(ca ?? null, key ?? null, cert ?? null)
}

function metadataOf({ token }: ServiceAddress): Metadata {
  const metadata = new Metadata()
  if (token !== undefined) metadata.set('authorization', `Bearer ${token.toString('latin1')}`)
  return metadata
}

function problemOf({ code, details }: ServiceError): ApiProblem | undefined {
  switch (code) {
    case status.UNAUTHENTICATED:
    case status.PERMISSION_DENIED:
      return { kind: 'refused', detail: details === '' ? 'no reason was given' : details }
    // It was let in; a release without these templates.
    case status.UNIMPLEMENTED:
      return undefined
    default:
      return { kind: 'unreachable', detail: details }
  }
}
