import { randomBytes } from 'node:crypto'
import { copyFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { startHsm } from '../support/hsm.ts'
import { buildOrder, deviceAdd } from '../support/orders.ts'
import { startServer } from '../support/server.ts'

it('the HSM tells a database that an older copy has replaced, until the next order', async () => {
  await using hsm = await startHsm()
  const path = join(hsm.root, 'mortise.db')
  const order = (owner: string, sequence: number) =>
    buildOrder(hsm.operator, hsm, { sequence, changes: [deviceAdd(owner)], keys: [randomBytes(16)] })
  {
    await using server = await startServer(hsm)
    await server.reached('ready')
    await server.administration.submitOrder(order(server.owner, 1))
  }
  copyFileSync(path, `${path}.copy`)
  {
    await using server = await startServer(hsm)
    await server.reached('ready')
    await server.administration.submitOrder(order(server.owner, 2))
    expect((await server.administration.status()).warnings).toEqual([])
  }
  copyFileSync(`${path}.copy`, path)
  await expect(startServer(hsm)).rejects.toMatchObject({ code: 'database_log_missing' })
  // The operator's word that the copy is to be gone on with.
  rmSync(`${path}.last-commit`)
  await using server = await startServer(hsm)
  await server.reached('ready')
  const { warnings, nextSequence } = await server.administration.status()
  expect(warnings).toEqual([expect.stringContaining('it is an older copy')])
  expect(nextSequence).toBe(3)
  await server.administration.submitOrder(order(server.owner, nextSequence))
  expect((await server.administration.status()).warnings).toEqual([])
})
