import { request as requestTls } from 'node:https'
import { request } from 'node:http'
import {
  type BridgeConfig,
  type BrokerProblem,
  probeBroker,
  probeChirpStackApi,
  type SinkConfig,
} from '@mortise/bridge'
import { errorCode } from '../errors.ts'
import { ok, skipped, wrong } from '../kit/check.ts'
import type { BridgeCheck } from './checks.ts'

const ANSWER_TIMEOUT_MS = 5000

/** The broker of the network; a webhook has no one to be asked. */
export async function checkSource({ source: { kind, mqtt } }: BridgeConfig): Promise<BridgeCheck[]> {
  if (mqtt === undefined) return []
  // The broker of The Things Stack has QoS 0 only.
  const problem = await probeBroker(mqtt, { topic: mqtt.topic, atMostOnceWillDo: kind === 'the-things-stack' })
  return [
    problem === undefined
      ? ok('source', `${hostOf(mqtt.url)} lets the bridge in, and grants ${mqtt.topic}`)
      : brokerProblem('source', 'source.mqtt', hostOf(mqtt.url), problem),
  ]
}

function brokerProblem(
  name: 'source' | 'sink',
  member: string,
  host: string,
  { kind, detail }: BrokerProblem,
): BridgeCheck {
  switch (kind) {
    case 'refused':
      return wrong(
        name,
        `${member}: the broker ${host} does not let the bridge in (${detail}).`,
        'compare username, passwordFile and certFile with the accounts of the broker.',
      )
    case 'subscription':
      return wrong(
        name,
        `${member}: the topic cannot be subscribed to (${detail}).`,
        'let this account read the topic at the broker, or mend `topic`.',
      )
    case 'version':
      return wrong(name, `${member}: ${host} speaks another version of MQTT (${detail}).`, 'it must speak 5 or 3.1.1.')
    case 'unreachable':
      return wrong(name, `${member}: the broker ${host} cannot be reached (${detail}).`, remedyFor(detail))
  }
}

function remedyFor(detail: string): string {
  if (/ECONNREFUSED/.test(detail)) return 'nobody listens there: compare the port, and ask whether it runs.'
  if (/ENOTFOUND|EAI_AGAIN/.test(detail)) return 'mend the name, or the resolver of this machine.'
  if (/self.signed|unable to|UNABLE|CERT|certificate|issuer/i.test(detail))
    return 'name the CA that issued the certificate shown there in caFile, and the host as it stands in that certificate.'
  return 'compare scheme, name and port of the URL; look for a firewall on the way.'
}

/** The API for downlinks. */
export async function checkApi({ source: { kind, api, mqtt } }: BridgeConfig): Promise<BridgeCheck[]> {
  if (api === undefined) {
    const isNeeded = kind === 'chirpstack' || mqtt === undefined
    return isNeeded ? [skipped('api', 'source.api is not there: no downlinks')] : []
  }
  if (kind !== 'chirpstack') return [await checkService('api', 'source.api', api)]
  const problem = await probeChirpStackApi(api)
  if (problem === undefined) return [ok('api', `${hostOf(api.url)} knows the API key`)]
  return [
    problem.kind === 'refused'
      ? wrong(
          'api',
          `source.api: ChirpStack refuses the API key (${problem.detail}).`,
          'make a new one, and put it into tokenFile.',
        )
      : wrong(
          'api',
          `source.api: ${hostOf(api.url)} cannot be reached (${problem.detail}).`,
          remedyFor(problem.detail),
        ),
  ]
}

export async function checkSinks({ sinks }: BridgeConfig): Promise<BridgeCheck[]> {
  return await Promise.all(sinks.map((sink, index) => checkSink(sink, `sinks[${index}]`)))
}

async function checkSink(sink: SinkConfig, member: string): Promise<BridgeCheck> {
  if (sink.kind === 'stdout') return ok('sink', `${member}: standard output`)
  if (sink.kind === 'http') return await checkService('sink', member, sink.service)
  const problem = await probeBroker(sink.mqtt)
  const host = hostOf(sink.mqtt.url)
  return problem === undefined
    ? ok('sink', `${member}: ${host} lets the bridge in; that it may publish, the first reading tells`)
    : brokerProblem('sink', member, host, problem)
}

type Service = NonNullable<BridgeConfig['source']['api']>

/** A HEAD: it delivers nothing. Whatever is answered but a refusal of the token shows that the way is good. */
async function checkService(name: 'sink' | 'api', member: string, service: Service): Promise<BridgeCheck> {
  const host = hostOf(service.url)
  const answer = await head(service)
  if ('problem' in answer)
    return wrong(name, `${member}: ${host} cannot be reached (${answer.problem}).`, remedyFor(answer.problem))
  const { status } = answer
  if (status === 401 || status === 403)
    return wrong(
      name,
      `${member}: ${host} refuses the token (HTTP ${status}).`,
      'compare tokenFile with what it expects.',
    )
  if (status >= 500) return wrong(name, `${member}: ${host} fails (HTTP ${status}).`, 'see its log.')
  return ok(name, `${member}: ${host} answers (HTTP ${status})`)
}

function head({ url, token, ca, cert, key }: Service): Promise<{ status: number } | { problem: string }> {
  const headers = token === undefined ? {} : { authorization: `Bearer ${token.toString('latin1')}` }
  const options = { method: 'HEAD', headers, agent: false, signal: AbortSignal.timeout(ANSWER_TIMEOUT_MS) }
  return new Promise((resolve) => {
    const sent = url.startsWith('https:')
      ? requestTls(url, {
          ...options,
          ...(ca && { ca }),
          ...(cert && { cert }),
          ...(key && { key }),
          minVersion: 'TLSv1.2',
        })
      : request(url, options)
    sent.on('error', (error) => {
      resolve({ problem: errorCode(error) ?? error.message })
    })
    sent.on('response', (response) => {
      response.resume()
      resolve({ status: response.statusCode ?? 0 })
    })
    sent.end()
  })
}

/** Host and port: of a URL nothing else is told. */
function hostOf(url: string): string {
  return new URL(url).host
}
