import { X509Certificate } from 'node:crypto'
import { createServer } from 'node:net'
import { CodecError, PayloadCodecs } from '@mortise/application-server'
import { type BridgeConfig, BridgeError, lockDirectory } from '@mortise/bridge'
import { errorCode } from '../errors.ts'
import { ok, wrong } from '../kit/check.ts'
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

/** Takes the lock of the data directory for a moment, and makes the directory where it is not there. */
export function checkData({ data: { directory } }: BridgeConfig): BridgeCheck {
  try {
    lockDirectory(directory)[Symbol.dispose]()
    return ok('data', `${directory} can be written, and no bridge runs on it`)
  } catch (error) {
    if (!(error instanceof BridgeError)) throw error
    const remedy = error.message.startsWith('Another bridge')
      ? 'stop it, or give this one a directory of its own.'
      : `let the user of the bridge own ${directory}, on a local disk.`
    return wrong('data', error.message, remedy)
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

/** Where the bridge itself listens. */
export async function checkListen({ source: { webhook }, listen }: BridgeConfig): Promise<BridgeCheck[]> {
  return [
    ...(webhook === undefined ? [] : [await checkAddress('source', 'source.webhook.listen', webhook)]),
    ...(listen === undefined ? [] : [await checkAddress('listen', 'listen', listen)]),
  ]
}

async function checkAddress(
  name: 'source' | 'listen',
  member: string,
  { host, port }: { readonly host: string; readonly port: number },
): Promise<BridgeCheck> {
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
