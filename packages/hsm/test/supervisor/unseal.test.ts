import { renameSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { Supervisor } from '../../src/supervisor/supervisor.ts'
import { codeOfPromise } from '../support/refusal.ts'
import { BACKENDS, TestHsm } from '../support/test-hsm.ts'

/** What becomes of the buffer with the passphrase or PIN, whatever becomes of the opening. */
describe.each(BACKENDS)('unsealing, %s', (backend) => {
  let hsm: TestHsm

  beforeAll(() => {
    hsm = new TestHsm(backend)
  })
  afterAll(() => {
    hsm[Symbol.dispose]()
  })

  function supervisor(): Supervisor & AsyncDisposable {
    const [serverSocket, custodianSocket] = [join(hsm.root, 'server.sock'), join(hsm.root, 'custodian.sock')]
    const options = { directory: hsm.directory, serverSocket, custodianSocket, workers: 1, log: () => undefined }
    const made = new Supervisor(options)
    return Object.assign(made, { [Symbol.asyncDispose]: () => made.stop() })
  }

  const isWiped = (secret: Buffer) => secret.every((byte) => byte === 0)

  test('a wrong secret is refused and wiped; the right one then opens', async () => {
    await using sealed = supervisor()
    const wrong = Buffer.from('not the secret')
    expect(await codeOfPromise(sealed.unseal(wrong))).toBe(backend === 'soft' ? 'wrong_passphrase' : 'token_failed')
    expect(isWiped(wrong)).toBe(true)
    const right = hsm.secret()
    await sealed.unseal(right)
    expect(sealed.status.state).toBe('unsealed')
    // A token is opened anew for every worker that takes another one's place.
    expect(isWiped(right)).toBe(backend === 'soft')
  })

  test('a second secret is wiped, while the store is being opened and when it is open', async () => {
    await using sealed = supervisor()
    const opening = sealed.unseal(hsm.secret())
    const [during, after] = [Buffer.from('during'), Buffer.from('after')]
    const second = sealed.unseal(during)
    expect(isWiped(during)).toBe(true)
    await Promise.all([opening, second])
    await sealed.unseal(after)
    expect(isWiped(after)).toBe(true)
    expect(sealed.status).toMatchObject({ state: 'unsealed', workers: 1 })
  })

  test('the right secret is wiped when the store cannot be opened with it', async () => {
    await using sealed = supervisor()
    const aside = `${hsm.storeFile}.aside`
    renameSync(hsm.storeFile, aside)
    const secret = hsm.secret()
    expect(await codeOfPromise(sealed.unseal(secret))).toBe('store_damaged')
    renameSync(aside, hsm.storeFile)
    expect(isWiped(secret)).toBe(true)
    expect(sealed.status.state).toBe('sealed')
  })

  test('the right secret is wiped when the process is ending: no worker begins any more', async () => {
    const ended = supervisor()
    await ended.stop()
    const secret = hsm.secret()
    expect(await codeOfPromise(ended.unseal(secret))).toBe('busy')
    expect(isWiped(secret)).toBe(true)
    expect(ended.status.state).toBe('sealed')
  })
})
