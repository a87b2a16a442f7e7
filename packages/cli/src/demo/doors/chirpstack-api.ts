import { createServer, type Http2Server, type ServerHttp2Stream } from 'node:http2'
import { once } from 'node:events'

/** A downlink in ChirpStack's queue (api.DeviceQueueItem). */
export interface QueueItem {
  readonly devEui: string
  readonly fPort: number
  readonly data: Buffer
  readonly fCntDown: number
  readonly isEncrypted: boolean
}

export interface ChirpStackApiOptions {
  readonly port: number
  readonly apiKey: string
  /** The counter of the next downlink to a device. */
  readonly nextFCntDown: (devEui: string) => number
  readonly enqueue: (item: QueueItem) => void
}

const UNAUTHENTICATED = 16
const UNIMPLEMENTED = 12

/**
 * The part of ChirpStack's gRPC API that a bridge calls: gRPC over HTTP/2, each message with five bytes before it. Written
 * out here, because a play of another program does not read its messages with the code of the bridge.
 */
export class PlayedChirpStackApi implements AsyncDisposable {
  readonly #options: ChirpStackApiOptions
  readonly #server: Http2Server = createServer()
  readonly #sessions = new Set<{ destroy(): void }>()

  constructor(options: ChirpStackApiOptions) {
    this.#options = options
    this.#server.on('session', (session) => {
      this.#sessions.add(session)
    })
    this.#server.on('stream', (stream, headers) => {
      const { ':path': path = '', authorization } = headers
      const chunks: Buffer[] = []
      stream.on('data', (chunk: Buffer) => chunks.push(chunk))
      stream.on('end', () => {
        if (authorization !== `Bearer ${options.apiKey}`) answer(stream, UNAUTHENTICATED)
        else this.#answer(stream, path, readFields(Buffer.concat(chunks).subarray(5)))
      })
    })
  }

  async start(): Promise<void> {
    this.#server.listen(this.#options.port, '127.0.0.1')
    await once(this.#server, 'listening')
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const session of this.#sessions) session.destroy()
    const closed = once(this.#server, 'close')
    this.#server.close()
    await closed
  }

  #answer(stream: ServerHttp2Stream, path: string, request: Fields): void {
    switch (path) {
      case '/api.DeviceProfileTemplateService/List':
        answer(stream, 0, Buffer.alloc(0))
        break
      case '/api.DeviceService/GetNextFCntDown': {
        const next = this.#options.nextFCntDown(textOf(request, 1))
        answer(stream, 0, Buffer.concat([Buffer.of(0x08), varint(next)]))
        break
      }
      case '/api.DeviceService/Enqueue': {
        const item = readFields(bytesOf(request, 1))
        this.#options.enqueue({
          ...{ devEui: textOf(item, 2), fPort: numberOf(item, 4), data: bytesOf(item, 5) },
          ...{ fCntDown: numberOf(item, 8), isEncrypted: numberOf(item, 9) === 1 },
        })
        const id = Buffer.from('1f0e4f5c-8d3b-4c57-9a55-0e6f0d6c2b11')
        answer(stream, 0, Buffer.concat([Buffer.of(0x0a), varint(id.length), id]))
        break
      }
      default:
        answer(stream, UNIMPLEMENTED)
    }
  }
}

function answer(stream: ServerHttp2Stream, status: number, message?: Buffer): void {
  stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true })
  stream.on('wantTrailers', () => {
    stream.sendTrailers({ 'grpc-status': String(status) })
  })
  if (message === undefined) stream.end()
  else {
    const prefix = Buffer.alloc(5)
    prefix.writeUInt32BE(message.length, 1)
    stream.end(Buffer.concat([prefix, message]))
  }
}

/** Fields of a message by number: varints as numbers, the rest as bytes (protobuf.dev, "Encoding"). */
type Fields = ReadonlyMap<number, number | Buffer>

function readFields(bytes: Buffer): Fields {
  const fields = new Map<number, number | Buffer>()
  let at = 0
  const next = (): number => {
    let value = 0
    for (let shift = 0; ; shift += 7) {
      const byte = bytes.readUInt8(at++)
      value += (byte & 0x7f) * 2 ** shift
      if (byte < 0x80) return value
    }
  }
  while (at < bytes.length) {
    const tag = next()
    const value = next()
    if ((tag & 7) === 0) fields.set(tag >> 3, value)
    else fields.set(tag >> 3, bytes.subarray(at, (at += value)))
  }
  return fields
}

function varint(value: number): Buffer {
  const bytes: number[] = []
  for (let rest = value; ; rest = Math.floor(rest / 128)) {
    bytes.push((rest % 128) | (rest < 128 ? 0 : 0x80))
    if (rest < 128) return Buffer.from(bytes)
  }
}

function bytesOf(fields: Fields, number: number): Buffer {
  const value = fields.get(number)
  return typeof value === 'object' ? value : Buffer.alloc(0)
}

function textOf(fields: Fields, number: number): string {
  return bytesOf(fields, number).toString()
}

function numberOf(fields: Fields, number: number): number {
  const value = fields.get(number)
  return typeof value === 'number' ? value : 0
}
