import { demand } from '../failure.ts'
import type { HttpAnswer } from '../http/answer-parser.ts'
import type { SecretScanner } from '../secret-scanner.ts'
import { type BiAnswer, checkAnswer, checkHeader, spelled } from './check-answer.ts'
import { checkAppSKeyAns, checkHomeNsAns, checkJoinAns } from './check-success.ts'
import type { AcceptedJoin } from './device-model.ts'
import type { Expectation, ExpectedJoin } from './expect.ts'

/** What became of one request. */
export interface Verdict {
  /** As spelled in the answer; `empty` for none. */
  readonly code: string
  /** The new or repeated join of a Success. */
  readonly joined?: AcceptedJoin
}

/**
 * Holds an answer against what was expected, exactly, and teaches the device's model what was accepted.
 * @throws OracleFailure
 */
export function judge(scanner: SecretScanner, expected: Expectation, answer: HttpAnswer): Verdict {
  const given = checkAnswer(scanner, answer, expected.status)
  demand(answer.status === expected.status, 'http_status', `${answer.status}, not ${expected.status}`)
  if (given === undefined || expected.code === undefined || expected.header === undefined) {
    demand(given === undefined && expected.code === undefined, 'body', `${given?.code}, not ${expected.code}`)
    return { code: 'empty' }
  }
  const code = spelled(expected.code, expected.header.version)
  demand(given.code === code, given.code === 'Success' ? 'false_success' : 'code', `${given.code}, not ${code}`)
  checkHeader(given, expected.header, expected.dialect)
  if (expected.release !== undefined) checkAppSKeyAns(given, expected.release)
  if (expected.home !== undefined) checkHomeNsAns(given, expected.home, expected.dialect)
  return expected.join === undefined ? { code } : { code, joined: judgeJoin(given, expected.join) }
}

function judgeJoin(given: BiAnswer, expected: ExpectedJoin): AcceptedJoin {
  const { model, identity } = expected
  // Of several at once the first makes the others repetitions.
  const repeated = expected.repeated ?? (model.last?.identity === identity ? model.last : undefined)
  const joined = checkJoinAns(given, expected)
  if (repeated === undefined) {
    demand(joined.joinNonce === model.nextJoinNonce, 'join_nonce', `${joined.joinNonce}, not ${model.nextJoinNonce}`)
    model.accept(joined)
  } else {
    demand(joined.answer === repeated.answer, 'other_answer', 'the same request got another answer')
  }
  return joined
}

/** Codes that a request of a device that others use as well may get in the place of Success. */
const OVERTAKEN = new Set(['JoinReqFailed', 'FrameReplayed'])

/**
 * The same for a device that other cases use at the same time: `joined` is left for the device's history to judge.
 * @throws OracleFailure
 */
export function judgeShared(scanner: SecretScanner, expected: Expectation, answer: HttpAnswer): Verdict {
  const given = checkAnswer(scanner, answer)
  if (given === undefined || expected.join === undefined || given.code === 'Success') {
    if (expected.join === undefined || given === undefined) return judge(scanner, expected, answer)
    return { code: given.code, joined: checkJoinAns(given, expected.join) }
  }
  demand(OVERTAKEN.has(given.code), 'code', `${given.code} of a shared device`)
  return { code: given.code }
}
