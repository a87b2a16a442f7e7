import { HsmError } from '../../src/errors.ts'

/** The HsmError with which `act` is refused. */
export function refusal(act: () => unknown): HsmError {
  try {
    act()
  } catch (error) {
    if (error instanceof HsmError) return error
    throw error
  }
  throw new Error('it was not refused')
}
