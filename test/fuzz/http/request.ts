import type { Random } from '../random.ts'

/** An HTTP request as it is written, so that it can be written wrongly. */
export interface HttpRequest {
  method: string
  target: string
  version: string
  headers: [name: string, value: string][]
  /** What follows the headers, framed already. */
  content: Buffer
  lineEnd: string
}

/** A plain POST with Content-Length. */
export function post(body: Buffer): HttpRequest {
  const headers: HttpRequest['headers'] = [
    ['Host', 'js.example'],
    ['Content-Type', 'application/json'],
    ['Content-Length', String(body.length)],
  ]
  return { method: 'POST', target: '/', version: 'HTTP/1.1', headers, content: body, lineEnd: '\r\n' }
}

export function encodeRequest({ method, target, version, headers, content, lineEnd }: HttpRequest): Buffer {
  const lines = [`${method} ${target} ${version}`, ...headers.map(([name, value]) => `${name}: ${value}`), '', '']
  return Buffer.concat([Buffer.from(lines.join(lineEnd), 'latin1'), content])
}

/** The same body in chunks of any size, some with extensions, perhaps with a trailer. */
export function chunked(random: Random, body: Buffer): Buffer {
  const parts: Buffer[] = []
  for (let at = 0; at < body.length; ) {
    const part = body.subarray(at, at + random.between(1, random.chance(0.5) ? 8 : 400))
    const size = random.chance(0.3) ? part.length.toString(16).toUpperCase() : part.length.toString(16)
    const extension = random.chance(0.1) ? ';name=value' : ''
    parts.push(Buffer.from(`${random.chance(0.1) ? '00' : ''}${size}${extension}\r\n`), part, Buffer.from('\r\n'))
    at += part.length
  }
  parts.push(Buffer.from(random.chance(0.2) ? '0\r\nX-Trailer: value\r\n\r\n' : '0\r\n\r\n'))
  return Buffer.concat(parts)
}

/** `bytes` in pieces, as a network may deliver them. */
export function pieces(random: Random, bytes: Buffer): Buffer[] {
  const cuts = Array.from({ length: random.between(1, 6) }, () => random.below(bytes.length)).sort((a, b) => a - b)
  return [0, ...cuts].map((start, index) => bytes.subarray(start, cuts[index] ?? bytes.length))
}
