import { spawn } from 'node:child_process'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import { boundaryEnvironment, type CeremonyAnswer, type CeremonyRequest, HSM_CEREMONY_MAIN } from '@mortise/hsm'
import { CliError, messageOf } from '../errors.ts'

export type SuccessfulCeremony = Extract<CeremonyAnswer, { ok: true }>

/**
 * Makes the HSM in a process of its own, so that this one never holds a storage key. The request goes through a pipe: a
 * passphrase that was typed stands in no command line and no environment.
 * @throws CliError with the ceremony's code
 */
export async function holdCeremony(request: CeremonyRequest, signal: AbortSignal): Promise<SuccessfulCeremony> {
  const child = spawn(process.execPath, ['--disable-sigusr1', fileURLToPath(HSM_CEREMONY_MAIN)], {
    env: boundaryEnvironment(),
    stdio: ['pipe', 'pipe', 'inherit'],
    signal,
  })
  const ended = new Promise<void>((resolve, reject) => {
    child.once('error', reject)
    child.once('close', () => {
      resolve()
    })
  })
  // Its early end shows in the missing answer.
  child.stdin.on('error', () => undefined)
  child.stdin.end(JSON.stringify(request))
  const [output] = await Promise.all([text(child.stdout), ended.catch(refuseToRun)])
  const answer = readAnswer(output)
  if (answer.ok) return answer
  throw new CliError(answer.code, `the HSM could not be made: ${answer.message}`, {
    ...(answer.hint !== undefined && { hint: answer.hint }),
  })
}

function refuseToRun(error: unknown): never {
  if (error instanceof Error && error.name === 'AbortError')
    throw new CliError('interrupted', 'interrupted; what was made is removed again')
  throw new CliError('ceremony_failed', `the HSM process could not be started: ${messageOf(error)}`)
}

function readAnswer(output: string): CeremonyAnswer {
  try {
    return JSON.parse(output) as CeremonyAnswer
  } catch {
    throw new CliError('ceremony_failed', 'the HSM could not be made: its process ended without an answer')
  }
}
