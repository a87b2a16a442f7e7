import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

const MODULES = ['/usr/lib/softhsm/libsofthsm2.so', '/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so']

/** As long as a key: a shorter one would be found by chance in the memory of a process. */
const PIN = '6482190357261948'

/** A throw-away token of a real SoftHSM2. */
export interface SoftHsmToken {
  readonly module: string
  readonly label: string
  readonly pin: string
  /** What a process needs in its environment to find the token. */
  readonly environment: { readonly SOFTHSM2_CONF: string }
}

export function createSoftHsmToken(directory: string): SoftHsmToken {
  const module = softHsmModule()
  mkdirSync(join(directory, 'tokens'), { recursive: true })
  const configuration = join(directory, 'softhsm2.conf')
  writeFileSync(
    configuration,
    `directories.tokendir = ${join(directory, 'tokens')}\nobjectstore.backend = file\nlog.level = ERROR\n`,
  )
  const environment = { SOFTHSM2_CONF: configuration }
  const token = { module, label: 'mortise-test', pin: PIN, environment }
  const options = ['--init-token', '--free', '--label', token.label, '--so-pin', '12345678', '--pin', token.pin]
  execFileSync('softhsm2-util', options, { env: { ...process.env, ...environment }, stdio: 'pipe' })
  return token
}

export function softHsmModule(): string {
  const module = MODULES.find((path) => existsSync(path))
  if (module === undefined) throw new Error('SoftHSM2 is missing: apt-get install softhsm2')
  return module
}
