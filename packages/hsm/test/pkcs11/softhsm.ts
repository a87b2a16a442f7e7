import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const MODULES = ['/usr/lib/softhsm/libsofthsm2.so', '/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so']

export const TOKEN_LABEL = 'mortise-test'
export const PIN_TEXT = '73914620'
const SO_PIN_TEXT = '5928461037'

export function pin(): Buffer {
  return Buffer.from(PIN_TEXT)
}

export interface SoftHsm {
  readonly module: string
  readonly directory: string
  /** Makes one more token in the same place. */
  addToken(label: string): void
  remove(): void
}

/**
 * A SoftHSM2 with one token, {@link TOKEN_LABEL}, in a directory of its own. The library reads SOFTHSM2_CONF when it is
 * first initialised, so this sets it in the environment of the whole test process.
 */
export function createSoftHsm(): SoftHsm {
  const module = softHsmModule()
  const directory = mkdtempSync(join(tmpdir(), 'mortise-softhsm-'))
  mkdirSync(join(directory, 'tokens'))
  const configuration = join(directory, 'softhsm2.conf')
  writeFileSync(configuration, `directories.tokendir = ${join(directory, 'tokens')}\nobjectstore.backend = file\n`)
  process.env['SOFTHSM2_CONF'] = configuration
  const addToken = (label: string) => {
    const pins = ['--so-pin', SO_PIN_TEXT, '--pin', PIN_TEXT]
    execFileSync('softhsm2-util', ['--init-token', '--free', '--label', label, ...pins], { stdio: 'pipe' })
  }
  addToken(TOKEN_LABEL)
  return {
    module,
    directory,
    addToken,
    remove: () => {
      rmSync(directory, { recursive: true })
    },
  }
}

function softHsmModule(): string {
  const module = MODULES.find((path) => existsSync(path))
  if (module === undefined) {
    throw new Error(
      'SoftHSM2 is missing, and these tests never skip: npm test installs it, or apt-get install softhsm2',
    )
  }
  return module
}
