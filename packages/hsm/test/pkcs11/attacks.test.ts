import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Pkcs11Error } from '../../src/pkcs11/pkcs11-error.ts'
import { Attacker } from './attacker.ts'
import { type Attack, ATTACKS, type Target } from './attacks.ts'
import { readCapabilityPage } from './capability-page.ts'
import { createSoftHsm, pin, TOKEN_LABEL } from './softhsm.ts'
import { laxTarget, realTarget } from './targets.ts'

const softHsm = createSoftHsm()
const page = readCapabilityPage('softhsm2.md')

describe('a hostile process with the PIN, on SoftHSM2', () => {
  let attacker: Attacker
  let real: Target
  let lax: Target

  beforeAll(() => {
    attacker = new Attacker(softHsm.module, TOKEN_LABEL, pin())
    real = realTarget(softHsm.module, 'attacked', attacker)
    lax = laxTarget(attacker)
  })
  afterAll(() => {
    attacker.close()
    softHsm.remove()
  })

  it('finds every attack on the capability page, and no other', () => {
    expect([...page.attacks.keys()].toSorted()).toEqual(Object.keys(ATTACKS).toSorted())
  })

  it.each(Object.entries(ATTACKS))(
    '%s: as the capability page says; succeeds on an unprotected twin',
    (name, attack) => {
      expect(outcome(attack, real)).toBe(page.attacks.get(name))
      expect(outcome(attack, lax)).toBe('succeeds')
    },
  )
})

/** An attack that the token lets happen but that wins something else than it should is an error of the test. */
function outcome(attack: Attack, target: Target): string {
  try {
    attack(target)
    return 'succeeds'
  } catch (error) {
    if (error instanceof Pkcs11Error) return error.rvName
    throw error
  }
}
