import { createSocket, type RemoteInfo, type Socket } from 'node:dgram'
import { promises } from 'node:dns'
import { once } from 'node:events'

/** Records as in a zone file, of the few types that are asked for. */
export type ZoneRecord =
  | { readonly type: 'A'; readonly address: string }
  | { readonly type: 'AAAA'; readonly address: string }
  | {
      readonly type: 'SRV'
      readonly priority: number
      readonly weight: number
      readonly port: number
      readonly target: string
    }
  | {
      readonly type: 'NAPTR'
      readonly order: number
      readonly preference: number
      readonly flags: string
      readonly service: string
      readonly regexp: string
      readonly replacement: string
    }

const TYPES: Record<ZoneRecord['type'], number> = { A: 1, AAAA: 28, SRV: 33, NAPTR: 35 }
const NXDOMAIN = 3
const SERVFAIL = 2

/** A name server for the tests, over UDP (RFC 1035); a name without records is NXDOMAIN, `failing` ones are SERVFAIL. */
export class DnsServer implements AsyncDisposable {
  readonly #socket: Socket
  readonly #zone = new Map<string, ZoneRecord[]>()
  readonly failing = new Set<string>()
  /** `NAPTR name`, in the order of the questions. */
  readonly asked: string[] = []

  private constructor(socket: Socket) {
    this.#socket = socket
    socket.on('message', (message, from) => {
      this.#answer(message, from)
    })
  }

  static async start(): Promise<DnsServer> {
    const socket = createSocket('udp4')
    socket.bind(0, '127.0.0.1')
    await once(socket, 'listening')
    return new DnsServer(socket)
  }

  get address(): string {
    return `127.0.0.1:${this.#socket.address().port}`
  }

  /** One that asks here and nowhere else. */
  resolver(): promises.Resolver {
    const resolver = new promises.Resolver({ timeout: 1000, tries: 1 })
    resolver.setServers([this.address])
    return resolver
  }

  add(name: string, ...records: ZoneRecord[]): void {
    this.#zone.set(name, [...(this.#zone.get(name) ?? []), ...records])
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#socket.close()
    await once(this.#socket, 'close')
  }

  #answer(message: Buffer, from: RemoteInfo): void {
    const { name, end } = readName(message, 12)
    const type = message.readUInt16BE(end)
    const known = Object.entries(TYPES).find(([, number]) => number === type)
    this.asked.push(`${known?.[0] ?? type} ${name}`)
    const ofName = this.#zone.get(name.toLowerCase())
    const records = (ofName ?? []).filter((record) => TYPES[record.type] === type)
    const code = this.failing.has(name) ? SERVFAIL : ofName === undefined ? NXDOMAIN : 0
    const header = Buffer.alloc(12)
    message.copy(header, 0, 0, 2)
    // An answer, authoritative, and recursion is available.
    header.writeUInt16BE(0x8580 | code, 2)
    header.writeUInt16BE(1, 4)
    header.writeUInt16BE(records.length, 6)
    const question = message.subarray(12, end + 4)
    this.#socket.send(Buffer.concat([header, question, ...records.map(encodeRecord)]), from.port, from.address)
  }
}

function readName(message: Buffer, start: number): { name: string; end: number } {
  const labels: string[] = []
  let at = start
  for (let length = message.readUInt8(at); length > 0; length = message.readUInt8(at)) {
    labels.push(message.toString('latin1', at + 1, at + 1 + length))
    at += 1 + length
  }
  return { name: labels.join('.'), end: at + 1 }
}

function encodeRecord(record: ZoneRecord): Buffer {
  const data = encodeData(record)
  const fixed = Buffer.alloc(12)
  // Its name is that of the question, at offset 12.
  fixed.writeUInt16BE(0xc00c, 0)
  fixed.writeUInt16BE(TYPES[record.type], 2)
  fixed.writeUInt16BE(1, 4)
  fixed.writeUInt32BE(60, 6)
  fixed.writeUInt16BE(data.length, 10)
  return Buffer.concat([fixed, data])
}

function encodeData(record: ZoneRecord): Buffer {
  switch (record.type) {
    case 'A':
      return Buffer.from(record.address.split('.').map(Number))
    case 'AAAA':
      return Buffer.from(
        record.address
          .split(':')
          .map((group) => group.padStart(4, '0'))
          .join(''),
        'hex',
      )
    case 'SRV':
      return Buffer.concat([numbers(record.priority, record.weight, record.port), encodeName(record.target)])
    case 'NAPTR': {
      const texts = [record.flags, record.service, record.regexp].map(encodeText)
      return Buffer.concat([numbers(record.order, record.preference), ...texts, encodeName(record.replacement)])
    }
  }
}

function numbers(...values: number[]): Buffer {
  return Buffer.concat(values.map((value) => Buffer.of(value >> 8, value & 0xff)))
}

function encodeText(text: string): Buffer {
  return Buffer.concat([Buffer.of(text.length), Buffer.from(text, 'latin1')])
}

function encodeName(name: string): Buffer {
  const labels = name.split('.').filter((label) => label !== '')
  return Buffer.concat([...labels.map(encodeText), Buffer.of(0)])
}
