import { existsSync } from 'node:fs'
import { join } from 'node:path'

const MODULES = [
  '/usr/lib/softhsm/libsofthsm2.so',
  '/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so',
  '/usr/lib/aarch64-linux-gnu/softhsm/libsofthsm2.so',
  '/usr/lib64/pkcs11/libsofthsm2.so',
]

/** SoftHSM2 as it is installed: its PKCS#11 library and the tool that makes tokens. */
export interface SoftHsm2 {
  readonly module: string
  readonly util: string
}

export function findSoftHsm2(): SoftHsm2 | undefined {
  const module = MODULES.find((path) => existsSync(path))
  const util = findProgram('softhsm2-util')
  return module === undefined || util === undefined ? undefined : { module, util }
}

/** Where a program is on the PATH. */
export function findProgram(name: string): string | undefined {
  return (process.env['PATH'] ?? '')
    .split(':')
    .map((directory) => join(directory, name))
    .find((path) => existsSync(path))
}
