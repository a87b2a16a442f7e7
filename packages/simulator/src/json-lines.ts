import type { Readable } from 'node:stream'

/** The longest line that is read, in characters. */
const MAX_LINE_LENGTH = 1 << 24

/** The lines of a stream, without their ends. @throws {RangeError} a line above the limit; the rest is not read */
export async function* readLines(input: Readable): AsyncGenerator<string> {
  let rest = ''
  for await (const chunk of input.setEncoding('utf8') as AsyncIterable<string>) {
    const [first = '', ...more] = chunk.split('\n')
    const lines = [rest + first, ...more]
    rest = lines.pop() ?? ''
    yield* lines
    if (rest.length > MAX_LINE_LENGTH) throw new RangeError(`a line is longer than ${MAX_LINE_LENGTH} characters`)
  }
  if (rest !== '') yield rest
}
