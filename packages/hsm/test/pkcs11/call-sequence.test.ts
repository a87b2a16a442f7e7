import { afterAll, describe, expect, it } from 'vitest'
import { type FunctionName, loadPkcs11Library, type NativeFunction } from '../../src/pkcs11/library.ts'
import { openPkcs11Token } from '../../src/pkcs11/token.ts'
import type { Token } from '../../src/token/token.ts'
import { readCapabilityPage } from './capability-page.ts'
import { joinMaterial, makeHsm } from './hsm.ts'
import { join10, join11, type JoinMaterial } from './join-sequence.ts'
import { createSoftHsm, pin } from './softhsm.ts'

const softHsm = createSoftHsm()
afterAll(() => {
  softHsm.remove()
})

const page = readCapabilityPage('softhsm2.md')

describe('the calls of a join', () => {
  it.each<[string, (token: Token, material: JoinMaterial) => void, number]>([
    ['1.0.x', join10, 3],
    ['1.1', join11, 7],
  ])('%s: are those of the capability page, and every object made is destroyed', (version, join, objects) => {
    const hsm = makeHsm(softHsm, `calls-${version}`)
    using token = openPkcs11Token(hsm.created.settings, pin())
    const material = joinMaterial(token, hsm)
    const made = token.objectsMade
    const calls = recordCalls(() => {
      join(token, material)
    })
    expect(calls).toEqual(page.calls.get(version))
    expect(token.objectsMade - made).toBe(objects)
    expect(calls.filter((name) => name === 'C_DestroyObject')).toHaveLength(objects)
  })
})

/** Names of the C functions that `act` calls. */
function recordCalls(act: () => void): string[] {
  const functions = loadPkcs11Library(softHsm.module).functions as Record<FunctionName, NativeFunction>
  const original = { ...functions }
  const calls: string[] = []
  for (const [name, call] of Object.entries(original)) {
    functions[name as FunctionName] = (...args) => {
      calls.push(name)
      return call(...args)
    }
  }
  try {
    act()
  } finally {
    Object.assign(functions, original)
  }
  return calls
}
