import { execFileSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'
import { createSoftHsm } from './softhsm.ts'

const LIBRARY = fileURLToPath(new URL('../../src/pkcs11/library.ts', import.meta.url))

describe('a PKCS #11 library', () => {
  test('stays mapped when the garbage collector has run', () => {
    const softHsm = createSoftHsm()
    const program = `
      import { readFileSync } from 'node:fs'
      const { loadPkcs11Library } = await import(${JSON.stringify(LIBRARY)})
      const isMapped = () => readFileSync('/proc/self/maps', 'utf8').includes('libsofthsm2')
      const before = isMapped()
      loadPkcs11Library(${JSON.stringify(softHsm.module)})
      for (let round = 0; round < 5; round++) { gc(); await new Promise((resolve) => setTimeout(resolve, 20)) }
      console.log(JSON.stringify({ before, after: isMapped() }))`
    const output = execFileSync(process.execPath, ['--expose-gc', '--input-type=module', '-e', program], {
      encoding: 'utf8',
    })
    softHsm.remove()
    expect(JSON.parse(output)).toEqual({ before: false, after: true })
  })
})
