import { encodeRequest, type HttpRequest, pieces, post } from '../http/request.ts'
import { joinRequest } from '../air-requests.ts'
import { mutateBytes } from '../mutate-bytes.ts'
import type { Random } from '../random.ts'
import type { Conversation } from './conversation.ts'
import { joinReq, joinReqWith } from './messages.ts'
import type { Caller } from './peers.ts'
import { written } from './scenarios.ts'
import type { SharedHistory } from './shared-history.ts'
import type { EnrolledDevice } from './devices.ts'

/** What a case with a device that others use as well is given. */
export interface SharedCase {
  readonly talk: Conversation
  readonly device: EnrolledDevice
  readonly history: SharedHistory
}

type StreamScenario = (shared: SharedCase) => Promise<unknown>

export const STREAM_SCENARIOS: readonly (readonly [number, StreamScenario])[] = [
  [16, contended],
  [6, mutatedHttp],
  [2, pipelined],
  [1, garbage],
  [1, withoutTls],
]

/** The beginning of a handshake, whose rest never comes. */
const CLIENT_HELLO = Buffer.from('16030100c8010000c40303', 'hex')
const CALLER: Caller = 'clear'
const METHODS = [
  'GET',
  'PUT',
  'HEAD',
  'OPTIONS',
  'DELETE',
  'TRACE',
  'PATCH',
  'CONNECT',
  'post',
  'PRI',
  'P\0ST',
  '',
  'POST ',
]
const TARGETS = [
  '/x',
  '//',
  '/.',
  '/../',
  '*',
  'https://js.example/',
  '/%00',
  '/\0',
  '/?',
  `/${'a'.repeat(9000)}`,
  '',
  '/#',
]
const VERSIONS = ['HTTP/1.0', 'HTTP/2.0', 'HTTP/0.9', 'HTTP/1.2', 'HTTP/1.', 'http/1.1', '']
const HEADERS: readonly (readonly [string, string])[] = [
  ['Content-Length', '0'],
  ['Content-Length', '-1'],
  ['Content-Length', '+10'],
  ['Content-Length', '1e3'],
  ['Content-Length', '99999999999999999999'],
  ['Content-Length', '0x10'],
  ['Content-Length', '5, 5'],
  ['Transfer-Encoding', 'chunked'],
  ['Transfer-Encoding', 'gzip, chunked'],
  ['Transfer-Encoding', 'chunked, identity'],
  ['Transfer-Encoding', 'xchunked'],
  ['Expect', '100-continue'],
  ['Connection', 'close'],
  ['Connection', 'upgrade'],
  ['Upgrade', 'h2c'],
  ['Upgrade', 'websocket'],
  ['Host', 'another'],
  ['Content-Encoding', 'gzip'],
  ['Cookie', 'x'.repeat(9000)],
  ['X-Long', 'x'.repeat(7000)],
  ['Bad Name', 'value'],
  ['X-Nul', 'a\0b'],
  ['X-Latin', 'caf\u00e9'],
  ['X-Split', 'a\r\n b'],
  ['X-Split', 'a\r\nX-Injected: b'],
  ['X-Bare', 'a\nb'],
  ['', 'no name'],
]

/** Many cases join one device at once: whoever is overtaken is told so, and nothing is accepted twice. */
async function contended({ talk, device, history }: SharedCase): Promise<void> {
  const { random } = talk
  // From few values, so that cases meet.
  const frame = joinRequest(device, random.chance(0.5) ? random.below(65_536) : random.below(300))
  const body = written(random, joinReqWith(random, device, CALLER, frame))
  const times = random.between(1, 3)
  await Promise.all(Array.from({ length: times }, () => talk.sayShared(CALLER, body, device, history)))
}

/** A request whose HTTP is wrong somewhere. */
async function mutatedHttp({ talk, device, history }: SharedCase): Promise<void> {
  const { random } = talk
  const body = someJoin(talk.random, device)
  const request = post(body)
  do random.weighted(HTTP_MUTATIONS)(random, request)
  while (random.chance(0.3))
  const bytes = encodeRequest(request)
  const stream = random.chance(0.4) ? pieces(random, bytes) : [bytes]
  await talk.sayAnything(CALLER, stream, [body], device, history)
}

const HTTP_MUTATIONS: readonly (readonly [number, (random: Random, request: HttpRequest) => void])[] = [
  [4, (random, request) => (request.method = random.pick(METHODS))],
  [4, (random, request) => (request.target = random.pick(TARGETS))],
  [3, (random, request) => (request.version = random.pick(VERSIONS))],
  [
    8,
    (random, { headers }) =>
      headers.splice(random.below(headers.length + 1), random.below(2), [...random.pick(HEADERS)]),
  ],
  [3, (random, { headers }) => headers.splice(random.below(headers.length), 1)],
  [4, changeLength],
  [2, repeatHeader],
  [2, (random, request) => (request.lineEnd = random.pick(['\n', '\r', '\r\r\n', '\n\r', '']))],
  [3, breakChunks],
  [2, (random, request) => (request.content = request.content.subarray(0, random.below(request.content.length + 1)))],
  [
    1,
    (random, { headers }) =>
      headers.push(...Array.from({ length: random.pick([101, 2000]) }, (): [string, string] => ['A', 'b'])),
  ],
]

/** Several requests in one stream, of which some are damaged; the first damage ends the connection. */
async function pipelined({ talk, device, history }: SharedCase): Promise<void> {
  const { random } = talk
  const bodies = Array.from({ length: random.between(2, 5) }, () => someJoin(random, device))
  const stream = Buffer.concat(bodies.map((body) => encodeRequest(post(body))))
  const sent = random.chance(0.5) ? stream : mutateBytes(random, stream)
  await talk.sayAnything(CALLER, random.chance(0.5) ? [sent] : pieces(random, sent), bodies, device, history)
}

/** What is no HTTP at all, or ends in the middle. */
async function garbage({ talk, device, history }: SharedCase): Promise<void> {
  const { random } = talk
  const body = someJoin(random, device)
  const bytes = encodeRequest(post(body))
  const stream = random.weighted<() => Buffer>([
    [2, () => random.bytes(random.between(1, 3000))],
    [2, () => bytes.subarray(0, random.below(bytes.length))],
    [2, () => mutateBytes(random, bytes)],
    [1, () => Buffer.from('\r\n'.repeat(random.between(1, 50)))],
    [1, () => Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n')],
  ])()
  await talk.sayAnything(CALLER, [stream], [body], device, history)
}

/** HTTP, noise or a handshake that is none, on the port where TLS is spoken. */
async function withoutTls({ talk, device }: SharedCase): Promise<void> {
  const { random } = talk
  const bytes = random.weighted<() => Buffer>([
    [2, () => encodeRequest(post(someJoin(random, device)))],
    [1, () => random.bytes(random.between(1, 2000))],
    [2, () => mutateBytes(random, Buffer.concat([CLIENT_HELLO, random.bytes(random.below(400))]))],
  ])()
  await talk.sayWithoutTls(bytes)
}

function someJoin(random: Random, device: EnrolledDevice): Buffer {
  return written(random, joinReq(random, device, CALLER, random.below(65_536)))
}

/** Content-Length that is not the body's: what is left over would be the next request. */
function changeLength(random: Random, { headers, content }: HttpRequest): void {
  const header = headers.find(([name]) => name === 'Content-Length')
  if (header === undefined) return
  const { length } = content
  header[1] = String(random.pick([length - 1, length + 1, 0, 1, Math.floor(length / 2), 2 * length, 65_537, 10 ** 9]))
}

function repeatHeader(random: Random, { headers }: HttpRequest): void {
  if (headers.length > 0) headers.push([...random.pick(headers)])
}

function breakChunks(random: Random, request: HttpRequest): void {
  request.headers = request.headers.filter(([name]) => name !== 'Content-Length')
  request.headers.push(['Transfer-Encoding', 'chunked'])
  const size = request.content.length.toString(16)
  const written = random.pick([
    size,
    `${size}0`,
    '-1',
    'zz',
    '',
    'ffffffffffffffffff',
    `${size} `,
    `${size};${'x'.repeat(20_000)}`,
  ])
  const end = random.pick(['\r\n0\r\n\r\n', '\n0\n\n', '0\r\n\r\n', '\r\n0\r\n', ''])
  request.content = Buffer.concat([Buffer.from(`${written}\r\n`), request.content, Buffer.from(end)])
}
