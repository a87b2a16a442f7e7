import { randomBytes } from 'node:crypto'
import { createPkcs11Keys } from '../../src/pkcs11/create-keys.ts'
import { openPkcs11Token } from '../../src/pkcs11/token.ts'
import { tokenContract } from '../token-contract.ts'
import { afterAll } from 'vitest'
import { createSoftHsm, pin, TOKEN_LABEL } from './softhsm.ts'

const softHsm = createSoftHsm()
afterAll(() => {
  softHsm.remove()
})

let fixtures = 0

tokenContract('SoftHSM2', () => {
  const recoveryKey = randomBytes(32)
  const objectPrefix = `contract-${fixtures++}`
  const options = { module: softHsm.module, tokenLabel: TOKEN_LABEL, objectPrefix, recoveryKey }
  const created = createPkcs11Keys({ ...options, pin: pin() })
  const token = openPkcs11Token(created.settings, pin())
  return Promise.resolve({
    token,
    created,
    recoveryKey,
    reopen: () => Promise.resolve(openPkcs11Token(created.settings, pin())),
    dispose: () => {
      token[Symbol.dispose]()
      return Promise.resolve()
    },
  })
})
