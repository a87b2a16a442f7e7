import { LoadConnection, type LoadTarget } from './load-connection.ts'
import { WrongAnswerError } from './load-devices.ts'
import type { LoadExchange, LoadSource } from './load-source.ts'

/** A wrong answer that nobody noticed, or a right one that was refused. */
export class SelfTestError extends Error {
  override readonly name = 'SelfTestError'
  readonly code = 'self_test_failed'
}

/**
 * Shows that wrong answers are noticed before any figure rests on it: one device joins, and its answer is read in every
 * way in which it could be wrong, then as it is, and then once more, which no device accepts.
 * @returns how many wrong answers were noticed
 * @throws {SelfTestError}
 */
export async function selfTest(target: LoadTarget, source: LoadSource): Promise<number> {
  const exchange = source.next()
  if (exchange === undefined) throw new SelfTestError('there is no device')
  const answer = await ask(target, exchange.body)
  const wrong = wrongAnswers(answer)
  for (const [what, text] of wrong) if (isRight(exchange, text)) throw new SelfTestError(`not noticed: ${what}`)
  const refusal = refusalOf(exchange, answer)
  if (refusal !== undefined) throw new SelfTestError(`a right answer was not accepted: ${refusal}`)
  if (isRight(exchange, answer)) throw new SelfTestError('not noticed: a JoinNonce for the second time')
  return wrong.length + 1
}

function ask(target: LoadTarget, body: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const connection = new LoadConnection(target, {
      answered: (_connection, answer) => {
        resolve(answer.body)
        connection.destroy()
      },
      closed: (_connection, error) => {
        reject(error ?? new SelfTestError('the connection was closed without an answer'))
      },
    })
    connection.post(body)
  })
}

/** The same answer with one thing wrong, for each thing. */
function wrongAnswers(answer: string): [string, string][] {
  const envelopes = Array.from(answer.matchAll(/"(\w+)":\{[^{}]*"AESKey":"/g), ([, name = '']) => name)
  return [
    ['another PHYPayload', changed(answer, /(?<="PHYPayload":"20)/)],
    ...envelopes.map((name): [string, string] => [`another ${name}`, changed(answer, envelopeStart(name))]),
    ...envelopes.map((name): [string, string] => [`no ${name}`, answer.replace(`"${name}"`, `"No${name}"`)]),
    ['another KEK', answer.replace('"KEKLabel":"', '"KEKLabel":"x')],
    ['no SessionKeyID', answer.replace('"SessionKeyID"', '"NoSessionKeyID"')],
    ['another TransactionID', answer.replace(/(?<="TransactionID":)\d+/, '1')],
    ['a refusal', answer.replace('"Success"', '"MICFailed"')],
    ['half an answer', answer.slice(0, answer.length / 2)],
  ]
}

function envelopeStart(name: string): RegExp {
  return new RegExp(`(?<="${name}":\\{[^{}]*"AESKey":")`)
}

/** With another hexadecimal digit after `place`. */
function changed(text: string, place: RegExp): string {
  const at = text.search(place)
  if (at === -1) return text
  return `${text.slice(0, at)}${text[at] === '0' ? '1' : '0'}${text.slice(at + 1)}`
}

function isRight(exchange: LoadExchange, answer: string): boolean {
  return refusalOf(exchange, answer) === undefined
}

function refusalOf(exchange: LoadExchange, answer: string): string | undefined {
  try {
    exchange.check(answer)
    return undefined
  } catch (error) {
    if (error instanceof WrongAnswerError) return error.message
    throw error
  }
}
