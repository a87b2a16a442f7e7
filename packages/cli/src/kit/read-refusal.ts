import { AnswerError, type FailureAns, parseJoinAns } from '@mortise/backend-interfaces'
import { type Check, wrong } from './check.ts'
import type { ProbeAnswer } from './probe.ts'

/** The refusal of a probe, or what is wrong with whatever came instead. */
export function readRefusal({ body }: ProbeAnswer): FailureAns | Check {
  try {
    const answer = parseJoinAns(body)
    return answer.resultCode === 'Success'
      ? wrong('join-server', 'it accepts a frame that is none.', 'this is no join server to trust keys to.')
      : answer
  } catch (error) {
    if (!(error instanceof AnswerError)) throw error
    return wrong(
      'join-server',
      `what came back is no answer to a JoinReq (${error.message})`,
      'something else than the join server answers: compare the URL with the kit, look for a proxy.',
    )
  }
}
