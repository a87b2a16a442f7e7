import { X509Certificate } from 'node:crypto'
import { createServer } from 'node:net'
import { CodecError, PayloadCodecs } from '@mortise/application-server'
import { type BridgeConfig, BridgeError, lockDirectory } from '@mortise/bridge'
import { errorCode } from '../errors.ts'
import { ok, skipped, wrong } from '../kit/check.ts'
import type { BridgeCheck } from './checks.ts'

/** Each certificate that the bridge shows, or trusts. `nowMs` is in milliseconds since 1970. */
export function checkCertificates(config: BridgeConfig, nowMs: number): BridgeCheck[] {
  const { source, sinks, joinServer } = config
  const places: [string, { readonly ca?: Buffer | undefined; readonly cert?: Buffer | undefined } | undefined][] = [
    ['source.mqtt', source.mqtt],
    ['source.webhook', source.webhook],
    ['source.api', source.api],
    ...sinks.map((sink, index): [string, { ca?: Buffer | undefined; cert?: Buffer | undefined } | undefined] => [
      `sinks[${index}]`,
      sink.kind === 'mqtt' ? sink.mqtt : sink.kind === 'http' ? sink.service : undefined,
    ]),
    ['joinServer', joinServer?.service],
  ]
  return places.flatMap(([place, tls]) => [
    ...(tls?.ca === undefined ? [] : [checkValidity(`${place}.caFile`, tls.ca, nowMs)]),
    ...(tls?.cert === undefined ? [] : [checkValidity(`${place}.certFile`, tls.cert, nowMs)]),
  ])
}

function checkValidity(member: string, pem: Buffer, nowMs: number): BridgeCheck {
  const { validFromDate: begin, validToDate: end, subject } = new X509Certificate(pem)
  if (end.getTime() < nowMs)
    return wrong('certificate', `${member} expired on ${day(end)}.`, 'ask whoever issued it for a new one.')
  if (begin.getTime() > nowMs)
    return wrong(
      'certificate',
      `${member} is valid from ${begin.toISOString()} only, and this machine has ${new Date(nowMs).toISOString()}.`,
      'set the clock of this machine (NTP). If the clock is right, wait.',
    )
  return ok('certificate', `${member}: ${subject.replaceAll('\n', ', ')}, valid until ${day(end)}`)
}

function day(date: Date): string {
  return date.toISOString().slice(0, 10)
}

/** What the join server wraps under is its own affair: of a KEK it tells no one anything. */
export function checkKeks(labels: readonly string[]): BridgeCheck {
  const listed = labels.map((label) => JSON.stringify(label)).join(', ')
  return ok('kek', `${listed}: there; only a join shows whether the join server has the same value under this label`)
}

/** What a bridge that runs here has for itself. */
const RUNNING = 'a bridge runs here; not tried'

/** The data directory and the addresses that the bridge listens on: its own, and so of no other bridge. */
export async function checkOwn(config: BridgeConfig): Promise<BridgeCheck[]> {
  const { directory } = config.data
  try {
    // For a moment; the directory is made where it is not there.
    lockDirectory(directory)[Symbol.dispose]()
    const listening = await checkListen(config)
    return [ok('data', `${directory} can be written, and no bridge runs on it`), ...listening]
  } catch (error) {
    if (!(error instanceof BridgeError)) throw error
    if (error.code === 'directory_in_use')
      return [
        skipped('data', `${directory}: ${RUNNING}`),
        ...places(config).map(({ name, member }) => skipped(name, `${member}: ${RUNNING}`)),
      ]
    const remedy = `let the user of the bridge own ${directory}, on a local disk.`
    return [wrong('data', error.message, remedy), ...(await checkListen(config))]
  }
}

/** Loads each codec in the sandbox; whether it decodes a payload, only a payload tells. */
export async function checkCodecs({ codecs }: BridgeConfig): Promise<BridgeCheck[]> {
  await using sandbox = new PayloadCodecs()
  const checks: BridgeCheck[] = []
  for (const { codec } of codecs) checks.push(await checkCodec(sandbox, codec))
  return checks
}

/** What a codec says of an empty payload is not told: only that it can be loaded. */
async function checkCodec(
  sandbox: PayloadCodecs,
  codec: BridgeConfig['codecs'][number]['codec'],
): Promise<BridgeCheck> {
  try {
    await sandbox.decodeUplink(codec, { bytes: new Uint8Array(), fPort: 1 })
  } catch (error) {
    if (!(error instanceof CodecError)) throw error
    if (error.code === 'codec_syntax')
      return wrong('codec', `${error.message} ${error.detail ?? ''}`.trimEnd(), 'mend the JavaScript.')
    if (error.code === 'codec_function_missing')
      return wrong('codec', error.message, 'define decodeUplink(input), or Decoder(bytes, fPort).')
  }
  return ok('codec', `${codec.name} is loaded`)
}

interface Place {
  readonly name: 'source' | 'listen'
  readonly member: string
  readonly host: string
  readonly port: number
}

function places({ source: { webhook }, listen }: BridgeConfig): Place[] {
  return [
    ...(webhook === undefined ? [] : [placeOf('source', 'source.webhook.listen', webhook)]),
    ...(listen === undefined ? [] : [placeOf('listen', 'listen', listen)]),
  ]
}

function placeOf(name: Place['name'], member: string, { host, port }: { host: string; port: number }): Place {
  return { name, member, host, port }
}

async function checkListen(config: BridgeConfig): Promise<BridgeCheck[]> {
  return await Promise.all(places(config).map(checkPlace))
}

async function checkPlace({ name, member, host, port }: Place): Promise<BridgeCheck> {
  const problem = await new Promise<string | undefined>((resolve) => {
    const server = createServer()
    server.once('error', (error) => {
      resolve(errorCode(error) ?? error.message)
    })
    server.listen({ host, port, exclusive: true }, () => {
      server.close(() => {
        resolve(undefined)
      })
    })
  })
  return problem === undefined
    ? ok(name, `${member}: ${host}, port ${port} is free`)
    : wrong(
        name,
        `${member}: one cannot listen on ${host}, port ${port} (${problem}).`,
        'choose another address, or stop what listens there.',
      )
}
