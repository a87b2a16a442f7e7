import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { hsmStatus, unseal } from '../../src/client/custodian-client.ts'
import { HsmProcess, until } from '../support/hsm-process.ts'
import { codeOfPromise } from '../support/refusal.ts'
import { TestHsm } from '../support/test-hsm.ts'

/**
 * Workers that are killed while they start. On the soft HSM alone: SoftHSM2 empties a file of the token for a moment at
 * each login, and a process that is killed just then takes the token with it.
 */
describe('a worker that is killed as it starts', () => {
  let hsm: TestHsm

  beforeAll(() => {
    hsm = new TestHsm('soft')
  })
  afterAll(() => {
    hsm[Symbol.dispose]()
  })

  test('refuses nothing: the process may be started again, and the store opened', async () => {
    await using running = await HsmProcess.start(hsm, { sealed: true, workers: 1 })
    const refused = codeOfPromise(unseal(running.custodianSocket, hsm.secret()))
    await until(() => running.workerPids().length > 0)
    for (const pid of running.workerPids()) process.kill(pid, 'SIGKILL')
    // Not one of the codes after which the server ends too, and does not start again.
    expect(await refused).toBe('busy')
    await unseal(running.custodianSocket, hsm.secret())
    expect((await hsmStatus(running.custodianSocket)).state).toBe('unsealed')
  })

  test('is replaced where another one serves', async () => {
    await using running = await HsmProcess.start(hsm, { sealed: true, workers: 2 })
    const opened = unseal(running.custodianSocket, hsm.secret())
    await until(() => running.workerPids().length === 2)
    const [victim = 0, survivor] = running.workerPids()
    process.kill(victim, 'SIGKILL')
    await opened
    await until(() => running.workerPids().filter((pid) => pid !== victim).length === 2)
    expect(running.workerPids()).toContain(survivor)
    await running.readyClient()
  })
})
