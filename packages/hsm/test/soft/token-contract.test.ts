import { randomBytes } from 'node:crypto'
import { createSoftKeys } from '../../src/soft/create-keys.ts'
import { openSoftToken } from '../../src/soft/token.ts'
import { tokenContract } from '../token-contract.ts'

tokenContract('soft', () => {
  const recoveryKey = randomBytes(32)
  const created = createSoftKeys({ recoveryKey })
  const token = openSoftToken(created.settings)
  return Promise.resolve({
    token,
    created,
    recoveryKey,
    reopen: () => Promise.resolve(openSoftToken(created.settings)),
    dispose: () => {
      token[Symbol.dispose]()
      return Promise.resolve()
    },
  })
})
