import type { AddressInfo, Socket } from 'node:net'
import fastifySwagger from '@fastify/swagger'
import Fastify, { type FastifyError, type FastifyReply, type FastifyRequest } from 'fastify'
import { hasZodFastifySchemaValidationErrors, serializerCompiler, validatorCompiler } from 'fastify-type-provider-zod'
import type { ApiKeys } from '../../identity/index.ts'
import { type Administration, AdministrationError } from '../../kms/index.ts'
import { type ConnectionRefusal, Connections } from '../connections.ts'
import { drain } from '../drain.ts'
import { type ConnectionLimits, MANAGEMENT_API_LIMITS } from '../limits.ts'
import type { MetricsSource } from '../metrics.ts'
import { TLS_OPTIONS } from '../tls-options.ts'
import { requireApiKey } from './authentication.ts'
import { healthRoutes, type Readiness } from './health-routes.ts'
import { OPENAPI_OPTIONS } from './openapi.ts'
import { PROBLEM_MEDIA_TYPE, type Problem, problemOf, sendProblem, toProblem } from './problems.ts'
import { apiRoutes } from './routes.ts'

export interface ManagementApiOptions {
  /** PEM. */
  readonly tls: { readonly cert: string; readonly key: string }
  readonly administration: Administration
  readonly apiKeys: Pick<ApiKeys, 'authenticate'>
  readonly readiness: () => Readiness
  readonly metrics: MetricsSource
  /** Told of failures that are a defect of the server; the client learns nothing of them. */
  readonly failed?: (error: unknown) => void
  readonly limits?: ConnectionLimits
  readonly refused?: (reason: ConnectionRefusal) => void
}

export interface ManagementApi {
  /** Port 0 takes a free one. */
  listen(host: string, port: number): Promise<{ host: string; port: number }>
  /** Shows this certificate from the next handshake on; what is open stays as it is. PEM. */
  exchangeCertificate(tls: ManagementApiOptions['tls']): void
  /** Answers what is in flight, then closes. */
  close(): Promise<void>
  /** The OpenAPI document, made from the schemas that requests and answers are checked with. */
  describe(): Promise<object>
}

/** The text of an order (1 MiB) as a JSON string, its envelope, and certificates. */
const MAX_BODY_BYTES = 4 * 1024 * 1024
const MAX_HEADER_BYTES = 8192

/** The management API: HTTP/1.1 over TLS, an API key for everything but health. */
export function createManagementApi(options: ManagementApiOptions): ManagementApi {
  const { limits = MANAGEMENT_API_LIMITS, refused = () => undefined } = options
  const app = buildApp(options, limits)
  const connections = new Connections(app.server, { limits, refused })
  app.server.on('request', (request, response) => {
    connections.began(request.socket, response)
    connections.received(request.socket)
  })
  return {
    listen: async (host, port) => {
      await app.listen({ host, port })
      const address = app.server.address() as AddressInfo
      return { host: address.address, port: address.port }
    },
    exchangeCertificate: (tls) => app.server.setSecureContext({ ...TLS_OPTIONS, ...tls }),
    close: () => drain(connections, limits.drainTimeoutMs, () => app.close()),
    describe: async () => {
      await app.ready()
      return app.swagger()
    },
  }
}

function buildApp(
  { tls, administration, apiKeys, readiness, metrics, failed }: ManagementApiOptions,
  limits: ConnectionLimits,
) {
  const app = Fastify({
    https: {
      ...TLS_OPTIONS,
      ...tls,
      handshakeTimeout: limits.handshakeTimeoutMs,
      headersTimeout: limits.headersTimeoutMs,
      connectionsCheckingInterval: 1000,
      maxHeaderSize: MAX_HEADER_BYTES,
    },
    bodyLimit: MAX_BODY_BYTES,
    requestTimeout: limits.requestTimeoutMs,
    // Idle connections are closed by Connections.
    keepAliveTimeout: 0,
    forceCloseConnections: 'idle',
    clientErrorHandler: refuseBytes,
    // A malformed path is refused before any route or hook is asked.
    frameworkErrors: (error, _request, reply) => {
      sendProblem(reply, problemOfRequest(error))
    },
  })
  app.removeContentTypeParser('text/plain')
  app.setValidatorCompiler(validatorCompiler)
  app.setSerializerCompiler(serializerCompiler)
  app.addHook('onRequest', requireApiKey(apiKeys))
  app.setNotFoundHandler((_request, reply) => sendProblem(reply, toProblem('not_found')))
  app.setErrorHandler((error: FastifyError, _request: FastifyRequest, reply: FastifyReply) => {
    const problem = problemOfError(error)
    if (problem.code === 'internal') failed?.(error)
    return sendProblem(reply, problem)
  })
  app.register(fastifySwagger, OPENAPI_OPTIONS)
  app.register(healthRoutes(readiness, metrics))
  app.register(apiRoutes(administration), { prefix: '/api/v1' })
  return app
}

function problemOfError(error: FastifyError): Problem {
  if (error instanceof AdministrationError) return problemOf(error)
  if (hasZodFastifySchemaValidationErrors(error)) {
    const [first] = error.validation
    const where = `${error.validationContext ?? 'request'}${first?.instancePath ?? ''}`
    return toProblem('request_malformed', `${where}: ${first?.message ?? 'invalid'}`)
  }
  return problemOfRequest(error)
}

/** What fastify refuses by itself; its texts name the rule, not the content. Anything that is no 4xx stays inside. */
function problemOfRequest({ statusCode = 500, message }: FastifyError): Problem {
  if (statusCode === 413) return toProblem('request_body_too_large')
  if (statusCode === 415) return toProblem('media_type_unsupported')
  if (statusCode >= 400 && statusCode < 500) return toProblem('request_malformed', message)
  return toProblem('internal')
}

/** What is no HTTP, or has headers beyond the limit. Node has no answer object for it. */
function refuseBytes({ code }: { code?: string }, socket: Socket): void {
  if (!socket.writable) {
    socket.destroy()
    return
  }
  const body = JSON.stringify(toProblem('request_malformed', code))
  const headers = [`Content-Type: ${PROBLEM_MEDIA_TYPE}`, `Content-Length: ${body.length}`, 'Connection: close']
  socket.end(['HTTP/1.1 400 Bad Request', ...headers, '', body].join('\r\n'))
}
