import { OracleFailure } from '../failure.ts'

/** The code with which the oracle objects; `none` when it does not. Anything else that is thrown is a failure of the test. */
export function objection(check: () => unknown): string {
  try {
    check()
    return 'none'
  } catch (error) {
    if (error instanceof OracleFailure) return error.code
    throw error
  }
}

/** The same of something that takes time. */
export async function objectionTo(check: Promise<unknown>): Promise<string> {
  try {
    await check
    return 'none'
  } catch (error) {
    if (error instanceof OracleFailure) return error.code
    throw error
  }
}
