import { createPublicKey } from 'node:crypto'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { type Change, envelopeDigest, parseOrder, verifyOrderSignature } from '@mortise/hsm'
import { parseDevEui, parseJoinEui } from '@mortise/lorawan'
import { AdministrationError, openLocalAdministration, type SubmittedOrder } from '@mortise/server'
import { CliError } from '../src/errors.ts'
import { openOperator, type Operator } from '../src/operator.ts'
import { OrderDesk } from '../src/orders.ts'
import { highestSigned } from '../src/sequence-file.ts'
import { initialise, Workplace } from './mortise.ts'

let place: Workplace
let operator: Operator
let administration: ReturnType<typeof openLocalAdministration>
beforeEach(async () => {
  place = new Workplace()
  await initialise(place)
  operator = openOperator({ data: place.data })
  administration = openLocalAdministration(place.data)
})
afterEach(async () => {
  await administration[Symbol.asyncDispose]()
  place[Symbol.dispose]()
})

let devices = 0
/** A change that is good every time. */
function newDevice({ owner }: OrderDesk): Change {
  const id = (++devices).toString(16).padStart(16, '0')
  return {
    action: 'device.add',
    device: id.repeat(2),
    owner,
    devEui: parseDevEui(id),
    joinEui: parseJoinEui('70b3d57ed0000001'),
    macVersion: '1.0.3',
    applicationServers: [],
    networkIsApplicationServer: false,
    networks: [],
    appKey: 'generate',
  }
}

describe('orders', () => {
  test('are signed by the operator, name the pinned HSM, and carry keys only sealed', async () => {
    const submitted: SubmittedOrder[] = []
    const recording = {
      status: () => administration.status(),
      submitOrder: (order: SubmittedOrder) => {
        submitted.push(order)
        return administration.submitOrder(order)
      },
    }
    const key = Buffer.from('2b7e151628aed2a6abf7158809cf4f3c', 'hex')
    const desk = new OrderDesk(recording, operator)
    const kek = { action: 'kek.set', kek: '01'.repeat(16), kind: 'as', recipient: 'a', owner: desk.owner } as const
    const report = await desk.submit([{ ...kek, label: 'l', size: 16, key: 0 }], { keys: [key] })
    expect(report).toEqual({ orderId: 1, state: 'waiting' })
    const [order] = submitted
    const text = Buffer.from(order!.text)
    const { signer, signature } = order!.signatures[0]!
    const spki = createPublicKey(operator.privateKey).export({ format: 'der', type: 'spki' })
    const bytes = { signer: Buffer.from(signer, 'hex'), signature: Buffer.from(signature, 'hex') }
    expect(verifyOrderSignature(text, bytes, spki)).toBe(true)
    const { hsm, owner, organisationId } = { ...parseOrder(text), owner: desk.owner, ...operator.hsm }
    expect({ hsm, owner }).toEqual({ hsm: operator.hsm.hsmId, owner: organisationId })
    expect(parseOrder(text).envelope).toBe(envelopeDigest(Buffer.from(order!.envelope!)))
    expect(JSON.stringify(order)).not.toContain(key.toString('hex'))
    expect(JSON.stringify(order)).not.toContain(key.toString('base64'))
  })

  test('take a new sequence number when another command took theirs', async () => {
    const [mine, other] = [new OrderDesk(administration, operator), new OrderDesk(administration, operator)]
    await mine.submit([newDevice(mine)])
    await other.submit([newDevice(mine)])
    expect(await mine.submit([newDevice(mine)])).toEqual({ orderId: 3, state: 'waiting' })
  })

  test('never get a number that was signed before, whatever the server says: a spare order dies with the next one', async () => {
    const signed: number[] = []
    const lying = {
      status: async () => ({ ...(await administration.status()), nextSequence: 1 }),
      submitOrder: (order: SubmittedOrder) => {
        signed.push((JSON.parse(order.text) as { sequence: number }).sequence)
        return Promise.reject(Object.assign(new Error('taken'), { code: 'order_sequence_taken' }))
      },
    }
    const deceived = new OrderDesk(lying, operator)
    await expect(deceived.submit([newDevice(deceived)])).rejects.toMatchObject({ code: 'order_sequence_taken' })
    expect(signed).toHaveLength(5)
    expect(signed).toEqual([...new Set(signed)].sort((x, y) => x - y))
    const desk = new OrderDesk(administration, operator)
    await desk.submit([newDevice(desk)])
    expect(highestSigned(operator.sequenceFile)).toBeGreaterThan(Math.max(...signed))
  })

  test('are not made for a server that shows another import key', async () => {
    const submitOrder = (order: SubmittedOrder) => administration.submitOrder(order)
    const showing = (importKeyThumbprint: string) => ({
      submitOrder,
      status: async () => ({
        ...(await administration.status()),
        hsm: { state: 'ready' as const, lastSequence: 0, knownEpoch: 1, importKeyThumbprint },
      }),
    })
    const deceived = new OrderDesk(showing('00'.repeat(32)), operator)
    await expect(deceived.submit([newDevice(deceived)])).rejects.toMatchObject({
      code: 'import_key_mismatch',
    })
    const sure = new OrderDesk(showing(operator.hsm.importKeyThumbprint), operator)
    expect(await sure.submit([newDevice(sure)])).toMatchObject({ state: 'waiting' })
  })

  test('that were sent and not answered may be in effect: what was made for them stays', async () => {
    const kept: string[] = []
    const files = (name: string) => ({ keep: () => void kept.push(name) })
    const failing = (error: Error) =>
      new OrderDesk({ status: () => administration.status(), submitOrder: () => Promise.reject(error) }, operator)
    const lost = failing(new CliError('server_unreachable', 'no answer: other side closed'))
    await expect(lost.submit([newDevice(lost)], { files: files('lost') })).rejects.toMatchObject({
      code: 'order_outcome_unknown',
      message: expect.stringContaining('other side closed') as string,
    })
    const refused = failing(new AdministrationError('device_exists'))
    await expect(refused.submit([newDevice(refused)], { files: files('refused') })).rejects.toMatchObject({
      code: 'device_exists',
    })
    expect(kept).toEqual(['lost'])
  })
})
