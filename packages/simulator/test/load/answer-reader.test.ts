import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { AnswerFormatError, AnswerReader } from '../../src/load/answer-reader.ts'

const answerText = (body: string, head = 'HTTP/1.1 200 OK') =>
  `${head}\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\nDate: today\r\n\r\n${body}`

describe('answers of one connection', () => {
  test('are read however they are cut into chunks, one after the other', () => {
    fc.assert(
      fc.property(
        fc.array(fc.string(), { minLength: 1, maxLength: 3 }),
        fc.infiniteStream(fc.nat(40)),
        (bodies, cuts) => {
          const reader = new AnswerReader()
          for (const text of bodies) {
            const body = Buffer.from(text).toString('latin1')
            const bytes = Buffer.from(answerText(body), 'latin1')
            const answers = chunksOf(bytes, cuts).map((chunk) => reader.push(chunk))
            expect(answers.pop()).toEqual({ status: 200, body })
            expect(answers.every((answer) => answer === undefined)).toBe(true)
          }
        },
      ),
    )
  })

  test('have their status', () => {
    const answer = new AnswerReader().push(Buffer.from(answerText('no', 'HTTP/1.1 404 Not Found')))
    expect(answer).toEqual({ status: 404, body: 'no' })
  })

  test.each([
    ['without Content-Length', 'HTTP/1.1 200 OK\r\n\r\n'],
    ['of another protocol', 'HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n'],
    ['with bytes that nobody asked for', `${answerText('{}')}HTTP`],
    ['whose head has no end', 'x'.repeat(20_000)],
  ])('are refused %s', (_what, text) => {
    expect(() => new AnswerReader().push(Buffer.from(text))).toThrow(AnswerFormatError)
  })
})

function chunksOf(bytes: Buffer, cuts: Iterator<number>): Buffer[] {
  const chunks: Buffer[] = []
  for (let start = 0; start < bytes.length; ) {
    const end = start + 1 + (cuts.next().value as number)
    chunks.push(bytes.subarray(start, end))
    start = end
  }
  return chunks
}
