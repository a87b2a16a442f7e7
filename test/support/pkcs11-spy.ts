import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Installation, InstallationOptions } from './installation.ts'
import { softHsmModule } from './softhsm.ts'

/** OpenSC's pkcs11-spy: a PKCS#11 library that passes calls on and writes them, with all data, to a file. */
const SPIES = [
  '/usr/lib/x86_64-linux-gnu/pkcs11-spy.so',
  '/usr/lib/aarch64-linux-gnu/pkcs11-spy.so',
  '/usr/lib/pkcs11-spy.so',
]

/** In the root of the installation, where its processes work. */
const LOG = 'spy.log'

export interface SpiedCall {
  /** `C_SignInit`. */
  readonly name: string
  /** `CKM_AES_CMAC`, where the call names one. */
  readonly mechanism: string | undefined
  /** Every text of bytes that went in or came out: data, attributes, labels. */
  readonly data: readonly Buffer[]
}

/** Lets an installation go through the spy to SoftHSM2; {@link readSpyLog} reads what it wrote. */
export function throughSpy(): InstallationOptions {
  const module = SPIES.find((path) => existsSync(path))
  if (module === undefined) throw new Error('pkcs11-spy is missing: apt-get install opensc-pkcs11')
  return { module, environment: { PKCS11SPY: softHsmModule(), PKCS11SPY_OUTPUT: LOG } }
}

const CALL = /^\d+: (C_\w+)$/
const MECHANISM = /pMechanism->type = (CKM_\w+)/
/** `    00000010  4A CD F3 …  J..`: offset, up to 16 bytes, the same as characters. */
const DUMP = /^ {4}([0-9A-F]{8}) {2}((?:[0-9A-F]{2} ){1,16})/
/** `    6D6F7274 6973652D`: labels and the like. */
const GROUPS = /^ {4}((?:[0-9A-F]{2}){1,4}(?: (?:[0-9A-F]{2}){1,4})*) *$/

/** All calls of all processes of an installation so far. */
export function readSpyLog({ root }: Installation): SpiedCall[] {
  return parseSpyLog(readFileSync(join(root, LOG), 'utf8'))
}

function parseSpyLog(text: string): SpiedCall[] {
  const [, ...parts] = text.split(/^(?=\d+: C_\w+$)/m)
  return parts.map((part) => {
    const lines = part.split('\n')
    return {
      name: CALL.exec(lines[0] ?? '')?.[1] ?? '',
      mechanism: MECHANISM.exec(part)?.[1],
      data: dataOf(lines),
    }
  })
}

function dataOf(lines: readonly string[]): Buffer[] {
  const texts: string[] = []
  for (const line of lines) {
    const [, offset, bytes] = DUMP.exec(line) ?? []
    if (offset !== undefined && bytes !== undefined) {
      if (Number.parseInt(offset, 16) === 0) texts.push('')
      texts.push((texts.pop() ?? '') + bytes.replaceAll(' ', ''))
      continue
    }
    const groups = GROUPS.exec(line)?.[1]
    if (groups !== undefined) texts.push(groups.replaceAll(' ', ''))
  }
  return texts.map((hex) => Buffer.from(hex, 'hex'))
}
