import { Socket } from 'node:net'
import { readSecretLine } from '../secret-file.ts'
import { Supervisor, type SupervisorOptions } from './supervisor.ts'

export interface ServeHsmOptions extends SupervisorOptions {
  /** Passphrase (soft) or PIN (PKCS#11); without it the HSM stays sealed until `mortise unseal`. */
  readonly secretFile: string | undefined
  /** A descriptor that closes when the parent dies: then this process ends too. */
  readonly parentFd: number | undefined
}

/** Runs the trust boundary until it is told to stop. @throws HsmError, SecretFileError */
export async function serveHsm(options: ServeHsmOptions): Promise<void> {
  process.title = 'mortise hsm serve'
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
    if (options.secretFile !== undefined) await supervisor.unseal(readSecretLine(options.secretFile))
    else options.log('sealed: waiting for `mortise unseal`')
    await stopped
  } finally {
    await supervisor.stop()
  }
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
