import { Socket } from 'node:net'
import { HsmError } from '../errors.ts'
import { sayLastWords, tellable } from '../process/last-words.ts'
import { protectProcess } from '../process/protect.ts'
import { readSecretLine, SecretFileError } from '../secret-file.ts'
import { Supervisor, type SupervisorOptions } from './supervisor.ts'

/** What the operator says the secret file holds. */
export type SecretKind = 'passphrase' | 'pin'

export interface ServeHsmOptions extends SupervisorOptions {
  /** Passphrase (soft) or PIN (PKCS#11); without it the HSM stays sealed until `mortise unseal`. */
  readonly secretFile: string | undefined
  /** A file of the other kind is refused unread: a passphrase would cost the token one of its few tries. */
  readonly secretKind: SecretKind | undefined
  /** A descriptor that closes when the parent dies: then this process ends too. */
  readonly parentFd: number | undefined
}

const REFUSALS = new Set(['wrong_passphrase', 'store_damaged', 'token_failed'])

/** Runs the trust boundary until it is told to stop. @throws HsmError, SecretFileError */
export async function serveHsm(options: ServeHsmOptions): Promise<void> {
  process.title = 'mortise hsm serve'
  sayLastWords()
  protectProcess(options.log)
  const supervisor = new Supervisor(options)
  const stopped = new Promise<void>((resolve) => {
    process.once('SIGINT', resolve)
    process.once('SIGTERM', resolve)
    if (options.parentFd !== undefined) endWithParent(options.parentFd, resolve)
  })
  // Between `listen` and `chmod` a socket has the mode that the umask leaves.
  process.umask(0o077)
  try {
    await supervisor.listen()
    if (options.secretFile !== undefined) await unsealFrom(options.secretFile, supervisor, options.secretKind)
    else options.log('sealed: waiting for `mortise unseal`')
    await stopped
  } catch (error) {
    throw tellable(error)
  } finally {
    await supervisor.stop()
  }
}

/**
 * Whether the secret, the store or the token was refused. The same start would be refused again, and a token locks after
 * a few wrong PINs: do not repeat it.
 */
export function isRefusal(error: unknown): boolean {
  return error instanceof SecretFileError || (error instanceof HsmError && REFUSALS.has(error.code))
}

async function unsealFrom(path: string, supervisor: Supervisor, kind: SecretKind | undefined): Promise<void> {
  const { backend } = supervisor.status
  const [needed, option] =
    backend === 'soft' ? (['passphrase', '--passphrase-file'] as const) : (['pin', '--pin-file'] as const)
  const hint = `name the file that \`mortise init\` used: ${option} FILE`
  if (kind !== undefined && kind !== needed)
    throw new SecretFileError(
      'secret_file_of_other_kind',
      `this HSM takes ${option}, and ${path} was given as a ${kind === 'pin' ? 'PIN' : 'passphrase'}`,
      hint,
    )
  const secret = readSecretLine(path, hint)
  try {
    await supervisor.unseal(secret)
  } catch (error) {
    throw isWrongSecret(error) ? new SecretFileError('secret_refused', `${error.message} (in ${path})`, hint) : error
  }
}

function isWrongSecret(error: unknown): error is HsmError {
  if (!(error instanceof HsmError)) return false
  return error.code === 'wrong_passphrase' || (error.code === 'token_failed' && /\bPIN\b/.test(error.detail ?? ''))
}

/** The pipe carries nothing; its end is the parent's end, also by SIGKILL. */
function endWithParent(fd: number, stop: () => void): void {
  const pipe = new Socket({ fd, readable: true, writable: false })
  pipe.on('close', stop)
  pipe.on('error', stop)
  pipe.resume()
  // The parent waits for this process to end before it closes its side.
  pipe.unref()
}
