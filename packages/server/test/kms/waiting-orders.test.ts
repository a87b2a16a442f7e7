import { randomBytes } from 'node:crypto'
import { copyFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { type AppliedOrder, type Change, decodeReceipt, HsmClient } from '@mortise/hsm'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { LocalAdministration } from '../../src/kms/index.ts'
import { type Storage, StorageError } from '../../src/storage/index.ts'
import { makeHsm, startHsm, type TestHsm } from '../support/hsm.ts'
import { buildOrder, deviceAdd, makeOperator, peerAdd, peerChange, randomId, referenceTo } from '../support/orders.ts'
import { openOrCreate, startServer, type TestServer, type TestServerOptions, until } from '../support/server.ts'

let cleanup: AsyncDisposableStack
beforeEach(() => {
  cleanup = new AsyncDisposableStack()
})
afterEach(() => cleanup.disposeAsync())

const KEY = randomBytes(16)

/** A server on this HSM that ends with the test, or before. */
async function serve(hsm: TestHsm, options?: TestServerOptions): Promise<TestServer> {
  return cleanup.use(await startServer(hsm, options))
}

function orderOf(hsm: TestHsm, sequence: number, ...changes: Change[]) {
  return buildOrder(hsm.operator, hsm, { sequence, changes, keys: [KEY] })
}

describe('an order waits', () => {
  it('while the HSM is sealed, and is adopted when it opens', async () => {
    const hsm = cleanup.use(await startHsm({ sealed: true }))
    const server = await serve(hsm)
    await server.reached('sealed')
    const adds = [deviceAdd(server.owner), deviceAdd(server.owner)]
    for (const [index, add] of adds.entries())
      expect(await server.administration.submitOrder(orderOf(hsm, index + 1, add))).toMatchObject({ state: 'waiting' })
    expect(server.adopter.allSettled).toBe(false)
    expect(await server.administration.status()).toMatchObject({
      hsm: { state: 'sealed' },
      waitingOrders: 2,
      devices: 0,
      nextSequence: 3,
    })
    expect(await server.administration.listOrders('waiting', 10)).toMatchObject([{ sequence: 1 }, { sequence: 2 }])

    await hsm.unseal()
    await until(() => server.adopter.allSettled)
    for (const { devEui } of adds) expect(await server.administration.findDevices(devEui)).toHaveLength(1)
    expect(await server.administration.status()).toMatchObject({
      hsm: { state: 'ready' },
      waitingOrders: 0,
      devices: 2,
    })
  })

  it('while the HSM process is gone, and is adopted when it is back', async () => {
    const hsm = cleanup.use(await startHsm())
    const server = await serve(hsm)
    await server.reached('ready')
    await hsm.kill()
    await server.reached('connecting')
    const add = deviceAdd(server.owner)
    expect(await server.administration.submitOrder(orderOf(hsm, 1, add))).toMatchObject({ state: 'waiting' })
    expect((await server.administration.status()).warnings.join()).toContain('busy')

    await hsm.start()
    await until(() => server.adopter.allSettled)
    expect(await server.administration.findDevices(add.devEui)).toHaveLength(1)
    expect((await server.administration.status()).warnings).toEqual([])
  })

  it('where no server runs, and is adopted when one starts', async () => {
    const hsm = cleanup.use(await makeHsm())
    const storage = openOrCreate(join(hsm.root, 'mortise.db'))
    await storage.administration.recordOperatorPublicKey(hsm.operator.publicKey)
    const offline = new LocalAdministration({ storage: storage.administration })
    const owner = storage.administration.organisationId().toString('hex')
    const [add, second] = [deviceAdd(owner), deviceAdd(owner)]
    for (const change of [add, second]) {
      const { nextSequence } = await offline.status()
      expect(await offline.submitOrder(orderOf(hsm, nextSequence, change))).toMatchObject({ state: 'waiting' })
    }
    expect(await offline.status()).toMatchObject({ running: false, hsm: { state: 'stopped' }, waitingOrders: 2 })
    storage[Symbol.dispose]()

    await hsm.start()
    const server = await serve(hsm)
    expect(server.adopter.allSettled).toBe(false)
    await until(() => server.adopter.allSettled)
    expect(await server.administration.findDevices(add.devEui)).toHaveLength(1)
    expect(await server.administration.findDevices(second.devEui)).toHaveLength(1)
  })

  it('and is refused for its own fault when the HSM opens, while those after it are adopted', async () => {
    const hsm = cleanup.use(await startHsm({ sealed: true }))
    const server = await serve(hsm)
    await server.reached('sealed')
    const add = deviceAdd(server.owner)
    const unknown: Change = { action: 'device.remove', ...referenceTo(deviceAdd(server.owner)) }
    const first = deviceAdd(server.owner)
    await server.administration.submitOrder(orderOf(hsm, 1, first))
    await server.administration.submitOrder(orderOf(hsm, 2, unknown))
    await server.administration.submitOrder(orderOf(hsm, 3, add))
    await hsm.unseal()
    await until(() => server.adopter.allSettled)
    expect((await server.administration.status()).refusedOrders).toMatchObject([
      { sequence: 2, code: 'device_unknown' },
    ])
    expect(await server.administration.findDevices(add.devEui)).toHaveLength(1)
    expect(server.storage.administration.findOrder(2)?.envelope).toBeUndefined()
  })

  it('while the disk is full, and is adopted with the next order', async () => {
    const hsm = cleanup.use(await startHsm())
    const disk = { full: false }
    const server = await serve(hsm, { wrapStorage: (storage) => failWhen(storage, () => disk.full) })
    await server.reached('ready')
    const [add, later] = [deviceAdd(server.owner), deviceAdd(server.owner)]
    disk.full = true
    expect(await server.administration.submitOrder(orderOf(hsm, 1, add))).toMatchObject({ state: 'waiting' })
    expect((await server.administration.status()).warnings.join()).toContain('disk_full')
    expect(await server.administration.findDevices(add.devEui)).toEqual([])

    disk.full = false
    expect(await server.administration.submitOrder(orderOf(hsm, 2, later))).toMatchObject({ state: 'adopted' })
    expect(await server.administration.findDevices(add.devEui)).toHaveLength(1)
    expect(server.adopter.allSettled).toBe(true)
  })
})

describe('a crash between the answer of the HSM and the commit', () => {
  it.each(['the server', 'the server and the HSM process'])('of %s gives the identical record', async (who) => {
    const hsm = cleanup.use(await startHsm())
    const add = { device: randomId() }
    const lost = await crashBeforeCommit(hsm, add.device)
    if (who !== 'the server') {
      await hsm.kill()
      await hsm.start()
    }
    const server = await serve(hsm)
    await until(() => server.adopter.allSettled)
    const device = server.storage.administration.findDevice(Buffer.from(add.device, 'hex'))
    // The salt of receipts is random: a record that was made again would differ.
    expect(device?.keySets[0]?.record).toEqual(lost.record)
    const receipt = server.receipts[0] ?? Buffer.alloc(0)
    // Another boot has its own chain: there the same order has another receipt.
    expect(receipt.equals(lost.receipt)).toBe(who === 'the server')
    expect(decodeReceipt(receipt).recordDigest).toEqual(decodeReceipt(lost.receipt).recordDigest)
    expect(server.storage.administration.findOrder(1)).toMatchObject({ state: 'adopted', envelope: undefined })
  })

  /** A server that dies when it has the outcome of the order in hand: gives what it did not write. */
  async function crashBeforeCommit(hsm: TestHsm, device: string): Promise<{ record: Buffer; receipt: Buffer }> {
    const outcomes: { record: Buffer; receipt: Buffer }[] = []
    const server = await startServer(hsm, {
      wrapStorage: (storage) => ({
        ...storage,
        adoptOrder: (_orderId, { changes: [change], receipt }) => {
          if (change?.kind === 'device-added') outcomes.push({ record: change.record, receipt })
          return Promise.reject(new StorageError('disk_failed'))
        },
      }),
    })
    await server.reached('ready')
    const add = deviceAdd(server.owner, { device })
    expect(await server.administration.submitOrder(orderOf(hsm, 1, add))).toMatchObject({ state: 'waiting' })
    await server[Symbol.asyncDispose]()
    expect(outcomes).toHaveLength(1)
    return outcomes[0]!
  }
})

describe('a key store that was rolled back', () => {
  it('takes no order but the operator’s acceptance, and then what waits', async () => {
    const hsm = cleanup.use(await startHsm())
    const first = await startServer(hsm)
    await first.reached('ready')
    await hsm.stop()
    const backup = copyStore(hsm, 'backup')
    await hsm.start()
    await first.reached('ready')
    for (const sequence of [1, 2, 3, 4])
      await first.administration.submitOrder(orderOf(hsm, sequence, deviceAdd(first.owner)))
    await first[Symbol.asyncDispose]()
    await hsm.stop()
    backup.restore()
    await hsm.start()

    const server = await serve(hsm)
    await server.reached('rolled-back')
    const waiting = deviceAdd(server.owner)
    expect(await server.administration.submitOrder(orderOf(hsm, 5, waiting))).toMatchObject({ state: 'waiting' })
    expect((await server.administration.status()).warnings.join()).toContain('older than the database')
    const epoch = server.storage.administration.hsmEpoch()
    const accepted = buildOrder(hsm.operator, hsm, { sequence: 6, changes: [{ action: 'epoch.accept', epoch }] })
    expect(await server.administration.submitOrder(accepted)).toMatchObject({ state: 'adopted' })
    await server.reached('ready')
    await until(() => server.adopter.allSettled)
    // It was signed before the acceptance, and the HSM takes sequence numbers only upwards.
    expect((await server.administration.status()).refusedOrders).toMatchObject([
      { sequence: 5, code: 'order_replayed' },
    ])
    const add = deviceAdd(server.owner)
    expect(await server.administration.submitOrder(orderOf(hsm, 7, add))).toMatchObject({ state: 'adopted' })
  })
})

it('refuses more waiting orders than the limit, and keeps the others', async () => {
  const hsm = cleanup.use(await startHsm({ sealed: true }))
  const server = await serve(hsm)
  await server.reached('sealed')
  const submit = (sequence: number) => {
    const changes: Change[] = [peerChange('peer.disable', peerAdd('00'.repeat(32)))]
    return server.administration.submitOrder(buildOrder(hsm.operator, hsm, { sequence, changes }))
  }
  await expect(submit(1)).rejects.toMatchObject({ code: 'peer_unknown' })
  await server.administration.submitOrder(orderOf(hsm, 1, deviceAdd(server.owner)))
  for (let sequence = 2; sequence <= 500; sequence++) await submit(sequence)
  await expect(submit(501)).rejects.toMatchObject({ code: 'order_backlog_full' })
  expect((await server.administration.status()).waitingOrders).toBe(500)
})

describe('the signature of an order', () => {
  it('is verified while the HSM is sealed since the start', async () => {
    const hsm = cleanup.use(await startHsm({ sealed: true }))
    const server = await serve(hsm)
    await server.reached('sealed')
    const changes = [deviceAdd(server.owner)]
    const foreign = buildOrder(makeOperator(), hsm, { sequence: 900, changes, keys: [KEY] })
    await expect(server.administration.submitOrder(foreign)).rejects.toMatchObject({ code: 'order_signature_invalid' })
    expect(await server.administration.status()).toMatchObject({ waitingOrders: 0, nextSequence: 1 })
    expect(await server.administration.submitOrder(orderOf(hsm, 1, ...changes))).toMatchObject({ state: 'waiting' })
  })

  it('cannot be verified where the database does not know the operator key: every order is refused', async () => {
    const hsm = cleanup.use(await makeHsm())
    using storage = openOrCreate(join(hsm.root, 'mortise.db'))
    const offline = new LocalAdministration({ storage: storage.administration })
    const order = orderOf(hsm, 1, deviceAdd(storage.administration.organisationId().toString('hex')))
    await expect(offline.submitOrder(order)).rejects.toMatchObject({ code: 'operator_unknown' })
    expect(await offline.status()).toMatchObject({ waitingOrders: 0, nextSequence: 1 })
    expect((await offline.status()).warnings.join()).toContain('operator key')
    await storage.administration.recordOperatorPublicKey(hsm.operator.publicKey)
    expect(await offline.submitOrder(order)).toMatchObject({ state: 'waiting' })
    expect((await offline.status()).warnings).toEqual([])
  })

  it('has to be of the one key that the database and the HSM name', async () => {
    const hsm = cleanup.use(await startHsm())
    const server = await serve(hsm)
    await server.reached('ready')
    const { administration } = server.storage
    const changes = [deviceAdd(server.owner)]
    const other = makeOperator()
    await administration.recordOperatorPublicKey(other.publicKey)
    for (const signer of [other, hsm.operator]) {
      const order = buildOrder(signer, hsm, { sequence: 1, changes, keys: [KEY] })
      await expect(server.administration.submitOrder(order)).rejects.toMatchObject({ code: 'operator_mismatch' })
    }
    expect((await server.administration.status()).warnings.join()).toContain('another operator key')
    await administration.recordOperatorPublicKey(hsm.operator.publicKey)
    expect(await server.administration.submitOrder(orderOf(hsm, 1, ...changes))).toMatchObject({ state: 'adopted' })
  })
})

it('acknowledges what is adopted when it connects, so that a server which never did leaves no full backlog', async () => {
  const hsm = cleanup.use(await startHsm())
  const next = await fillBacklog(hsm)
  expect(next).toBeGreaterThan(1)
  const server = await serve(hsm)
  await server.reached('ready')
  const add = deviceAdd(server.owner)
  expect(await server.administration.submitOrder(orderOf(hsm, next, add))).toMatchObject({ state: 'adopted' })
})

/** Orders are carried out and adopted, and never acknowledged, until the HSM takes no more; gives the next sequence. */
async function fillBacklog(hsm: TestHsm): Promise<number> {
  using storage = openOrCreate(join(hsm.root, 'mortise.db'))
  const { administration } = storage
  const owner = administration.organisationId().toString('hex')
  const client = new HsmClient({
    socketPath: hsm.serverSocket,
    knownEpoch: () => 0,
    onReceipts: () => Promise.resolve(),
    onState: () => undefined,
  })
  try {
    await until(() => client.state === 'ready')
    for (let sequence = 1; ; sequence++) {
      const submitted = orderOf(hsm, sequence, deviceAdd(owner))
      const order = {
        text: Buffer.from(submitted.text),
        signatures: submitted.signatures.map(({ signer, signature }) => ({
          signer: Buffer.from(signer, 'hex'),
          signature: Buffer.from(signature, 'hex'),
        })),
        envelope: Buffer.from(submitted.envelope!),
      }
      const applied = await client.applyOrder({ ...order, records: [] }).catch((error: unknown) => error)
      if (applied instanceof Error) {
        expect(applied).toEqual(expect.objectContaining({ code: 'order_backlog_full' }))
        return sequence
      }
      const signer = Buffer.from(hsm.operator.signer, 'hex')
      const { orderId } = await administration.submitOrder({ ...order, signer, sequence, certificates: [] })
      const { receipt, epoch } = applied as AppliedOrder
      await administration.adoptOrder(orderId, { changes: [], receipt, epoch })
    }
  } finally {
    await client.close()
  }
}

function failWhen(storage: Storage['administration'], full: () => boolean): Storage['administration'] {
  return {
    ...storage,
    adoptOrder: (orderId, outcome) =>
      full() ? Promise.reject(new StorageError('disk_full')) : storage.adoptOrder(orderId, outcome),
  }
}

/** The files of the sealed store, to be put back later. */
function copyStore(hsm: TestHsm, suffix: string): { restore(): void } {
  const directory = join(hsm.root, 'hsm')
  const files = readdirSync(directory).filter((name) => !name.endsWith(suffix))
  for (const name of files) copyFileSync(join(directory, name), join(hsm.root, `${name}.${suffix}`))
  return {
    restore: () => {
      for (const name of files) copyFileSync(join(hsm.root, `${name}.${suffix}`), join(directory, name))
    },
  }
}
