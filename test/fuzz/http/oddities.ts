import type { Random } from '../random.ts'
import { chunked, type HttpRequest } from './request.ts'

const CONTENT_TYPES = ['application/json', 'application/json; charset=utf-8', 'text/html; charset=utf-16', '']

/** HTTP as some other client writes it: header names in any case and order, chunks, a query, blanks. */
export function withHarmlessOddities(random: Random, request: HttpRequest, body: Buffer): HttpRequest {
  const inChunks = random.chance(0.4)
  const headers = request.headers.map(([name, value]): [string, string] => {
    if (name === 'Content-Type') return [name, random.pick(CONTENT_TYPES)]
    return name === 'Content-Length' && inChunks ? ['Transfer-Encoding', 'chunked'] : [name, value]
  })
  const more: [string, string][] = [
    ['User-Agent', 'x'.repeat(random.below(500))],
    ['Accept', '*/*'],
    ['Content-Encoding', 'identity'],
    ['Connection', 'keep-alive'],
    ['X-Forwarded-For', '::1'],
    ['Cookie', 'a=b; a=c'],
  ]
  const written = random.shuffled([...headers, ...random.shuffled(more).slice(0, random.below(4))])
  return {
    ...request,
    target: random.chance(0.1) ? `/?${random.below(1000)}` : '/',
    headers: written.map(([name, value]) => [
      random.chance(0.3) ? name.toLowerCase() : random.chance(0.2) ? name.toUpperCase() : name,
      // Node takes a coding with blanks behind it for another one, and closes; so it stands without.
      random.chance(0.1) ? `  ${value}${value === 'chunked' ? '' : '\t '}` : value,
    ]),
    content: inChunks ? chunked(random, body) : body,
  }
}
