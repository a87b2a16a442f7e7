import type { FailureAns } from '@mortise/backend-interfaces'
import { type Check, isWrong, ok, skipped, wrong } from './check.ts'
import { checkJoins, type JoinChecksOptions } from './check-joins.ts'
import type { KitManifest } from './manifest.ts'
import type { ProbeAnswer } from './probe.ts'
import { readRefusal } from './read-refusal.ts'
import type { NetworkServerSetup } from './setup.ts'

const PASS_THROUGH = 'have proxies pass TLS through to the join server: it checks the client certificate itself.'

/** More than this, and certificates and logs mislead. */
const MAX_SKEW_MS = 60_000

export interface AnswerChecksOptions extends JoinChecksOptions {
  readonly setup: NetworkServerSetup
  readonly manifest: KitManifest
  readonly now: () => number
}

/** From the first HTTP request to what the join server says of one device. Ends at the first step that fails. */
export async function checkAnswers(options: AnswerChecksOptions): Promise<Check[]> {
  const { probe, setup, manifest, now, joinEuis } = options
  const [joinEui] = joinEuis
  if (joinEui === undefined) return []
  const answer = await probe.malformedFrame(joinEui)
  const http = checkHttp(answer, setup.url)
  if ('problem' in answer || isWrong(http)) return [http]
  const checks = [http, checkClock(answer, now())]
  if (answer.body.length === 0) return [...checks, ...checkPosted(setup, manifest)]
  const refusal = readRefusal(answer)
  if ('status' in refusal) return [...checks, refusal]
  const understood = checkRefusal(refusal, setup)
  if (understood.some(isWrong)) return [...checks, ...understood]
  return [...checks, ...understood, checkDirect(setup), ...(await checkJoins(options))]
}

function checkHttp(answer: ProbeAnswer | { readonly problem: string }, url: string): Check {
  if ('problem' in answer) {
    const { problem } = answer
    if (/ALERT|CERTIFICATE_REQUIRED|UNKNOWN_CA/.test(problem))
      return wrong(
        'http',
        `the server, or a proxy in front of it, refuses the client certificate (${problem}).`,
        PASS_THROUGH,
      )
    return problem === 'ECONNRESET'
      ? wrong('http', `the connection was cut off after the handshake (${problem}).`, PASS_THROUGH)
      : wrong('http', `no answer to a request (${problem}).`, 'look for a proxy or firewall on the way.')
  }
  const { status } = answer
  const path = new URL(url).pathname
  if (status === 404)
    return wrong(
      'http',
      `the join server has no path ${path} (HTTP 404).`,
      'take the path of the kit: usually it is / alone.',
    )
  if (status >= 300 && status < 400)
    return wrong('http', `a redirect (HTTP ${status}).`, 'name the place to which it leads; it is not followed.')
  if (isMarkup(answer))
    return wrong(
      'http',
      `an HTML page came back (HTTP ${status}): that is a proxy or web server, not the join server.`,
      'have the proxy pass TLS through, or name the join server itself.',
    )
  if (status < 200 || status > 299)
    return wrong('http', `HTTP ${status}.`, 'ask the operator of the join server what its log says at this time.')
  return ok('http', `HTTP ${status}`)
}

function isMarkup({ contentType, body }: ProbeAnswer): boolean {
  return contentType.startsWith('text/html') || /^\s*<(?:!doctype|html)/i.test(body.subarray(0, 64).toString('latin1'))
}

function checkClock({ dateMs }: ProbeAnswer, nowMs: number): Check {
  if (dateMs === undefined) return skipped('clock', 'the answer has no Date')
  const seconds = Math.round((nowMs - dateMs) / 1000)
  if (Math.abs(nowMs - dateMs) <= MAX_SKEW_MS) return ok('clock', `within ${MAX_SKEW_MS / 1000} s of the server's`)
  const words = `${Math.abs(seconds)} s ${seconds > 0 ? 'ahead of' : 'behind'} that of the server`
  return wrong('clock', `the clock of this machine is ${words}.`, 'set both by NTP; certificates are judged by them.')
}

/** An empty answer: the real one is posted to the network server. A stranger would have been refused at once. */
function checkPosted({ asynchronous }: NetworkServerSetup, { asyncUrl }: KitManifest): Check[] {
  const to = asyncUrl === undefined ? 'the network server' : asyncUrl
  return [
    ok('peer', 'the join server knows this certificate'),
    asynchronous
      ? ok('answers', `they are posted to ${to}: what they say of sender and device stands in the log there`)
      : wrong(
          'answers',
          `the join server posts them to ${to}, but this configuration waits for them in the response.`,
          'set async_timeout, or have the join server answer in the response (`mortise peer set`).',
        ),
  ]
}

function checkDirect({ asynchronous }: NetworkServerSetup): Check {
  return asynchronous
    ? wrong(
        'answers',
        'they come in the response, but this configuration waits for them to be posted.',
        'set async_timeout="0s", or give the join server a URL of yours (`mortise peer set … --async-url`).',
      )
    : ok('answers', 'they come in the response')
}

/** What the answer to a malformed frame says of sender and protocol. */
function checkRefusal({ resultCode, description = '' }: FailureAns, setup: NetworkServerSetup): Check[] {
  const said = description === '' ? resultCode : `${resultCode}, "${description}"`
  switch (resultCode) {
    case 'FrameSizeError':
      return [
        ok('peer', 'the join server knows this certificate'),
        ok('sender-id', setup.netId),
        ok('protocol', `Backend Interfaces ${setup.protocolVersion}`),
      ]
    case 'UnknownSender':
      return [checkSender(description, said, setup)]
    case 'InvalidProtocolVersion':
      return [
        wrong(
          'protocol',
          `the join server does not serve Backend Interfaces ${setup.protocolVersion} to this network (${said}).`,
          'use the other version, or have the dialect of the peer changed (`mortise peer set ns … --dialect`).',
        ),
      ]
    case 'Malformed':
      return [checkMalformed(description, said)]
    default:
      return [wrong('join-server', `it refuses with ${said}.`, 'ask its operator; its log has the reason.')]
  }
}

function checkSender(description: string, said: string, { netId }: NetworkServerSetup): Check {
  if (description.includes('SenderID'))
    return wrong(
      'sender-id',
      `the certificate is not that of the network ${netId} (${said}).`,
      'set the NetID of the network server to the one for which the kit was made, or use the right kit.',
    )
  if (description.includes('disabled'))
    return wrong('peer', `the peer is disabled (${said}).`, 'ask the operator of the join server to let it in again.')
  if (description.includes('validity'))
    return wrong(
      'peer',
      `by the clock of the join server, the certificate is outside its validity (${said}).`,
      'compare both clocks; otherwise ask for a new certificate.',
    )
  return wrong(
    'peer',
    `the join server does not know this certificate (${said}).`,
    'ask its operator to add it (`mortise peer certificate add`), or take the one of the newest kit. The same is said where a proxy opens TLS: have it passed through.',
  )
}

function checkMalformed(description: string, said: string): Check {
  return description.includes('NSID')
    ? wrong(
        'protocol',
        `the join server wants the NSID of this network (${said}).`,
        'write sender-ns-id as the kit had it.',
      )
    : wrong(
        'protocol',
        `the join server does not understand the request (${said}).`,
        'ask its operator which dialect it has for this network.',
      )
}
