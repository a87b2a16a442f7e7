import { Agent, request } from 'undici'
import {
  type Administration,
  type AgreementView,
  AdministrationError,
  type ApiKeyView,
  type CreatedApiKey,
  type DeviceList,
  type DevicePage,
  type DeviceView,
  type InstalledCertificateView,
  isAdministrationErrorCode,
  type KekView,
  type ListedOrderState,
  type OrderReport,
  type OrderView,
  type PeerView,
  type RouteView,
  type ServerStatus,
  type SubmittedOrder,
} from '@mortise/server'
import { CliError, errorCode, messageOf } from '../errors.ts'

export interface HttpAdministrationOptions {
  /** Origin of the management API. */
  readonly url: string
  /** PEM. */
  readonly ca: string
  /** Read when the first request needs it. */
  readonly apiKey: () => string
  /** Name that the certificate must have, where it is not the URL's. */
  readonly serverName?: string
}

/** An order may wait for the HSM behind others. */
const REQUEST_TIMEOUT_MS = 60_000
const REACHABLE_TIMEOUT_MS = 2000
const CONNECT_TIMEOUT_MS = 5000
const MAX_ANSWER_BYTES = 64 * 1024 * 1024

type Method = 'GET' | 'POST' | 'DELETE'

/** The management API of a running server, over TLS. */
export class HttpAdministration implements Administration, AsyncDisposable {
  readonly online = true
  readonly #options: HttpAdministrationOptions
  readonly #agent: Agent

  constructor(options: HttpAdministrationOptions) {
    this.#options = options
    const { ca, serverName } = options
    this.#agent = new Agent({
      connect: { ca, timeout: CONNECT_TIMEOUT_MS, ...(serverName !== undefined && { servername: serverName }) },
      maxResponseSize: MAX_ANSWER_BYTES,
    })
  }

  /** Whether a server of this CA answers there; asks without the API key. */
  async isReachable(): Promise<boolean> {
    try {
      const { statusCode, body } = await request(new URL('/livez', this.#options.url), {
        dispatcher: this.#agent,
        headersTimeout: REACHABLE_TIMEOUT_MS,
        bodyTimeout: REACHABLE_TIMEOUT_MS,
      })
      await body.dump()
      return statusCode === 200
    } catch {
      return false
    }
  }

  async status(): Promise<ServerStatus> {
    return (await this.#ask('GET', '/api/v1/status')) as ServerStatus
  }

  async submitOrder(order: SubmittedOrder): Promise<OrderReport> {
    return (await this.#ask('POST', '/api/v1/orders', order)) as OrderReport
  }

  async listPeers(): Promise<PeerView[]> {
    return listOf(await this.#ask('GET', '/api/v1/peers'), 'peers') as PeerView[]
  }

  async listCertificates(): Promise<InstalledCertificateView[]> {
    return listOf(await this.#ask('GET', '/api/v1/certificates'), 'certificates') as InstalledCertificateView[]
  }

  async listAgreements(): Promise<AgreementView[]> {
    return listOf(await this.#ask('GET', '/api/v1/agreements'), 'agreements') as AgreementView[]
  }

  async listRoutes(): Promise<RouteView[]> {
    return listOf(await this.#ask('GET', '/api/v1/routes'), 'routes') as RouteView[]
  }

  async listKeks(): Promise<KekView[]> {
    return listOf(await this.#ask('GET', '/api/v1/keks'), 'keks') as KekView[]
  }

  async listDevices({ after, limit }: DevicePage): Promise<DeviceList> {
    const query = new URLSearchParams({ limit: String(limit), ...(after !== undefined && { after }) })
    return (await this.#ask('GET', `/api/v1/devices?${query.toString()}`)) as DeviceList
  }

  async findDevices(devEui: string): Promise<DeviceView[]> {
    try {
      return listOf(await this.#ask('GET', `/api/v1/devices/${devEui}`), 'devices') as DeviceView[]
    } catch (error) {
      if (errorCode(error) === 'device_unknown') return []
      throw error
    }
  }

  async listOrders(state: ListedOrderState, limit: number): Promise<OrderView[]> {
    const query = new URLSearchParams({ state, limit: String(limit) })
    return listOf(await this.#ask('GET', `/api/v1/orders?${query.toString()}`), 'orders') as OrderView[]
  }

  async listApiKeys(): Promise<ApiKeyView[]> {
    return listOf(await this.#ask('GET', '/api/v1/api-keys'), 'apiKeys') as ApiKeyView[]
  }

  async createApiKey(name: string): Promise<CreatedApiKey> {
    return (await this.#ask('POST', '/api/v1/api-keys', { name })) as CreatedApiKey
  }

  async revokeApiKey(apiKeyId: string): Promise<boolean> {
    try {
      await this.#ask('DELETE', `/api/v1/api-keys/${encodeURIComponent(apiKeyId)}`)
      return true
    } catch (error) {
      if (errorCode(error) === 'api_key_unknown') return false
      throw error
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#agent.close()
  }

  async #ask(method: Method, path: string, value?: unknown): Promise<unknown> {
    const { statusCode, text } = await this.#send(method, path, value)
    const answer = parseJson(text)
    if (statusCode >= 200 && statusCode < 300) return answer
    throw problemOf(statusCode, answer)
  }

  async #send(method: Method, path: string, value: unknown): Promise<{ statusCode: number; text: string }> {
    const authorization = `Bearer ${this.#options.apiKey()}`
    try {
      const { statusCode, body } = await request(new URL(path, this.#options.url), {
        dispatcher: this.#agent,
        method,
        headers: { authorization, ...(value !== undefined && { 'content-type': 'application/json' }) },
        ...(value !== undefined && { body: JSON.stringify(value) }),
        headersTimeout: REQUEST_TIMEOUT_MS,
        bodyTimeout: REQUEST_TIMEOUT_MS,
      })
      return { statusCode, text: await body.text() }
    } catch (error) {
      throw new CliError('server_unreachable', `no answer from ${this.#options.url}: ${messageOf(error)}`, {
        hint: 'is the server running there, and is --ca-file the CA of its certificate?',
        cause: error,
      })
    }
  }
}

function parseJson(text: string): unknown {
  if (text === '') return undefined
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/** A list, bare or as the member of an object. */
function listOf(answer: unknown, member: string): unknown[] {
  const list =
    typeof answer === 'object' && answer !== null && !Array.isArray(answer)
      ? (answer as Record<string, unknown>)[member]
      : answer
  if (Array.isArray(list)) return list
  throw new CliError('answer_malformed', 'the server answered something else than expected', {
    hint: 'are the command and the server of the same version?',
  })
}

/** RFC 9457: the stable `code` and the detail. */
function problemOf(statusCode: number, answer: unknown): Error {
  const problem = typeof answer === 'object' && answer !== null ? (answer as Record<string, unknown>) : {}
  const { code, detail, title } = problem
  const detailText = typeof detail === 'string' ? detail : undefined
  if (typeof code !== 'string') return new CliError('http_failed', `the server answered HTTP ${statusCode}`)
  if (isAdministrationErrorCode(code)) return new AdministrationError(code, detailText)
  if (code === 'unauthenticated')
    return new CliError(code, 'the server does not accept the API key', {
      hint: 'give the right one with --api-key-file; `mortise api-key create` beside the server makes a new one',
    })
  return new CliError(code, detailText ?? (typeof title === 'string' ? title : code))
}
