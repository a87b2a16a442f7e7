import { randomBytes } from 'node:crypto'
import { type Change, decodeDeviceRecord, decodeKekRecord, type Order, orderText } from '@mortise/hsm'
import { parseJoinEui, parseNetId } from '@mortise/lorawan'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { AdministrationError, type AdministrationErrorCode, type SubmittedOrder } from '../../src/kms/index.ts'
import { makeCertificate, makeExpiredCertificate, type TestCertificate } from '../support/certificates.ts'
import { startHsm, type TestHsm } from '../support/hsm.ts'
import {
  buildOrder,
  deviceAdd,
  kekRemove,
  kekSet,
  makeOperator,
  type OrderContent,
  peerAdd,
  peerChange,
  randomId,
  referenceTo,
  signAsSubmitted,
} from '../support/orders.ts'
import { startServer, type TestServer } from '../support/server.ts'

let hsm: TestHsm
let server: TestServer
let adoptions = 0

beforeAll(async () => {
  hsm = await startHsm()
  server = await startServer(hsm, { adopted: () => (adoptions += 1) })
  await server.reached('ready')
})
afterAll(async () => {
  await server[Symbol.asyncDispose]()
  await hsm[Symbol.asyncDispose]()
})

const KEY = randomBytes(16)

async function nextOrder(content: Omit<OrderContent, 'sequence'>): Promise<SubmittedOrder> {
  const { nextSequence } = await server.administration.status()
  return buildOrder(hsm.operator, hsm, { sequence: nextSequence, ...content })
}

async function order(...changes: Change[]): Promise<void> {
  const report = await server.administration.submitOrder(await nextOrder({ changes, keys: [KEY, randomBytes(32)] }))
  expect(report.state).toBe('adopted')
}

async function refusalOf(submitted: SubmittedOrder): Promise<AdministrationErrorCode> {
  const before = await snapshot()
  const error: unknown = await server.administration.submitOrder(submitted).catch((error: unknown) => error)
  expect(error).toBeInstanceOf(AdministrationError)
  expect(await snapshot()).toEqual(before)
  return (error as AdministrationError).code
}

/** Everything that an order could change. */
async function snapshot() {
  const { administration, storage } = server
  const { devices } = await administration.listDevices({ limit: 1000 })
  const records = devices.map(({ deviceId }) => storage.administration.findDevice(Buffer.from(deviceId, 'hex')))
  return {
    records,
    keks: storage.administration.listKeks(),
    peers: await administration.listPeers(),
    waiting: await administration.listOrders('waiting', 10),
  }
}

describe('a device', () => {
  it('is added with the record that the HSM made', async () => {
    const add = deviceAdd(server.owner)
    await order(add)
    const [view] = await server.administration.findDevices(add.devEui)
    expect(view).toMatchObject({
      deviceId: add.device,
      devEui: add.devEui,
      joinEui: add.joinEui,
      macVersion: '1.0.3',
      keyGeneration: 1,
      recordVersion: 1,
      applicationServers: ['app.example'],
      networks: ['000013'],
      keysDelivered: true,
      lastJoinNonce: 0,
      devNoncesUsed: 0,
      sessions: [],
    })
  })

  it('with a key that the HSM makes is not delivered yet', async () => {
    const add = deviceAdd(server.owner, { macVersion: '1.1.0', appKey: 'generate', nwkKey: 'generate' })
    await order(add)
    const [view] = await server.administration.findDevices(add.devEui)
    expect(view).toMatchObject({ keysDelivered: false, macVersion: '1.1.0' })
  })

  it('changes its policy with device.set, and keeps its keys', async () => {
    const add = deviceAdd(server.owner)
    await order(add)
    const before = recordOf(add.device)
    const networks = [parseNetId('00002a')]
    const policy = { applicationServers: [], networkIsApplicationServer: true, networks }
    await order({ action: 'device.set', ...referenceTo(add), ...policy })
    const after = recordOf(add.device)
    expect(after).toMatchObject({ recordVersion: 2, ...policy })
    expect(after.appKey).toEqual(before.appKey)
  })

  it('is gone with device.remove, and its EUIs are free within the same order', async () => {
    const add = deviceAdd(server.owner)
    const again = deviceAdd(server.owner, { devEui: add.devEui })
    await order(add)
    await order({ action: 'device.remove', ...referenceTo(add) }, again)
    expect((await server.administration.findDevices(add.devEui)).map(({ deviceId }) => deviceId)).toEqual([
      again.device,
    ])
  })

  it('may have another JoinEUI with the same DevEUI', async () => {
    const add = deviceAdd(server.owner)
    const joinEui = parseJoinEui('70b3d57ed0000002')
    await order(add, deviceAdd(server.owner, { devEui: add.devEui, joinEui }))
    expect(await server.administration.findDevices(add.devEui)).toHaveLength(2)
  })
})

describe('a KEK', () => {
  it('is set with the next version of its recipient, and removed', async () => {
    const [first, second] = [
      kekSet(server.owner, { recipient: 'as-of-kek' }),
      kekSet(server.owner, { recipient: 'as-of-kek', size: 32, key: 1 }),
    ]
    await order(first)
    await order(second)
    const keks = await server.administration.listKeks()
    expect(keks.filter(({ recipient }) => recipient === 'as-of-kek')).toMatchObject([
      { kekId: first.kek, version: 1, size: 16, recordVersion: 1, label: first.label, kind: 'as' },
      { kekId: second.kek, version: 2, size: 32, recordVersion: 1, label: second.label, kind: 'as' },
    ])
    const stored = server.storage.administration.findKek(Buffer.from(second.kek, 'hex'))
    expect(decodeKekRecord(stored!.record)).toMatchObject({ label: second.label, kekVersion: 2 })

    await order(kekRemove(first))
    expect((await server.administration.listKeks()).map(({ kekId }) => kekId)).not.toContain(first.kek)
  })
})

describe('a peer', () => {
  it('is added with what its certificate says, disabled and removed', async () => {
    const certificate = makeCertificate('ns.example')
    const add = peerAdd(certificate.fingerprint, { id: '00001a', protocol: '1.1', nsId: '70b3d57ed0000aaa' })
    const before = adoptions
    await server.administration.submitOrder(await nextOrder({ changes: [add], certificates: [certificate.cert] }))
    expect(await peerView(add.peer)).toMatchObject({
      kind: 'ns',
      id: '00001a',
      nsId: '70b3d57ed0000aaa',
      protocol: '1.1',
      state: 'active',
      dialect: 'standard-1.0',
      kekOnly: false,
      certificates: [{ fingerprint: certificate.fingerprint, subject: 'CN=ns.example' }],
    })
    expect(adoptions).toBe(before + 1)

    await order(peerChange('peer.disable', add))
    expect(await peerView(add.peer)).toMatchObject({ state: 'disabled' })
    await order(peerChange('peer.remove', add))
    expect(await peerView(add.peer)).toBeUndefined()
  })

  it('may take the place of one that the same order removes', async () => {
    const [old, renewed] = [makeCertificate('old.example'), makeCertificate('new.example')]
    const add = peerAdd(old.fingerprint, { id: '00002b' })
    const replacement = peerAdd(renewed.fingerprint, { id: '00002b' })
    await server.administration.submitOrder(await nextOrder({ changes: [add], certificates: [old.cert] }))
    const changes: Change[] = [peerChange('peer.remove', add), replacement]
    await server.administration.submitOrder(await nextOrder({ changes, certificates: [renewed.cert] }))
    expect(await peerView(add.peer)).toBeUndefined()
    expect(await peerView(replacement.peer)).toMatchObject({ id: '00002b' })
  })
})

describe('an order is refused, and changes nothing:', () => {
  let known: { device: ReturnType<typeof deviceAdd>; kek: ReturnType<typeof kekSet>; peer: ReturnType<typeof peerAdd> }
  let certificate: TestCertificate
  let unused: TestCertificate
  beforeAll(async () => {
    ;[certificate, unused] = [makeCertificate('known.example'), makeCertificate('unused.example')]
    known = {
      device: deviceAdd(server.owner),
      kek: kekSet(server.owner, { recipient: 'as-refused' }),
      peer: peerAdd(certificate.fingerprint, { id: '000077' }),
    }
    const changes = [known.device, known.kek, known.peer]
    await server.administration.submitOrder(await nextOrder({ changes, keys: [KEY], certificates: [certificate.cert] }))
  })

  const policy = { applicationServers: [], networkIsApplicationServer: false, networks: [] }

  /** Each breaks one thing; the twin, which does not, is adopted. */
  const rows: {
    name: string
    code: AdministrationErrorCode
    content: () => Omit<OrderContent, 'sequence'>
    twin: () => Omit<OrderContent, 'sequence'>
  }[] = [
    {
      name: 'a device that is there already',
      code: 'device_exists',
      content: () => ({ changes: [deviceAdd(server.owner, { devEui: known.device.devEui })], keys: [KEY] }),
      twin: () => ({ changes: [deviceAdd(server.owner)], keys: [KEY] }),
    },
    {
      name: 'a device twice in one order',
      code: 'device_exists',
      content: () => {
        const add = deviceAdd(server.owner)
        return { changes: [add, { ...add, device: randomId() }], keys: [KEY] }
      },
      twin: () => ({ changes: [deviceAdd(server.owner), deviceAdd(server.owner)], keys: [KEY] }),
    },
    {
      name: 'an id that another device has',
      code: 'device_exists',
      content: () => ({ changes: [deviceAdd(server.owner, { device: known.device.device })], keys: [KEY] }),
      twin: () => ({ changes: [deviceAdd(server.owner)], keys: [KEY] }),
    },
    {
      name: 'a device of another organisation',
      code: 'owner_mismatch',
      content: () => ({ changes: [deviceAdd(randomId())], keys: [KEY] }),
      twin: () => ({ changes: [deviceAdd(server.owner)], keys: [KEY] }),
    },
    {
      name: 'a KEK of another organisation',
      code: 'owner_mismatch',
      content: () => ({ changes: [kekSet(randomId())], keys: [KEY] }),
      twin: () => ({ changes: [kekSet(server.owner)], keys: [KEY] }),
    },
    {
      name: 'a device that nobody knows',
      code: 'device_unknown',
      content: () => ({
        changes: [{ action: 'device.set', ...referenceTo(known.device), device: randomId(), ...policy }],
      }),
      twin: () => ({ changes: [{ action: 'device.set', ...referenceTo(known.device), ...policy }] }),
    },
    {
      name: 'a version of a device that was replaced',
      code: 'order_version_mismatch',
      content: () => ({ changes: [{ action: 'device.set', ...referenceTo(known.device), ...policy }] }),
      twin: () => ({ changes: [{ action: 'device.set', ...referenceTo(known.device, 2), ...policy }] }),
    },
    {
      name: 'a device id with the EUIs of another device',
      code: 'order_record_mismatch',
      content: () => ({
        changes: [
          { action: 'device.set', ...referenceTo(known.device, 3), devEui: deviceAdd(server.owner).devEui, ...policy },
        ],
      }),
      twin: () => ({ changes: [{ action: 'device.set', ...referenceTo(known.device, 3), ...policy }] }),
    },
    {
      name: 'a KEK that nobody knows',
      code: 'kek_unknown',
      content: () => ({ changes: [kekRemove(kekSet(server.owner))] }),
      twin: () => ({ changes: [kekSet(server.owner)], keys: [KEY] }),
    },
    {
      name: 'a KEK label that was used before',
      code: 'label_in_use',
      content: () => ({
        changes: [kekSet(server.owner, { recipient: 'as-refused', label: known.kek.label })],
        keys: [KEY],
      }),
      twin: () => ({ changes: [kekSet(server.owner, { recipient: 'as-refused' })], keys: [KEY] }),
    },
    {
      name: 'an id that another KEK has',
      code: 'kek_exists',
      content: () => ({ changes: [kekSet(server.owner, { kek: known.kek.kek })], keys: [KEY] }),
      twin: () => ({ changes: [kekSet(server.owner)], keys: [KEY] }),
    },
    {
      name: 'a peer that nobody knows',
      code: 'peer_unknown',
      content: () => ({ changes: [peerChange('peer.disable', { ...known.peer, peer: randomId() })] }),
      twin: () => ({ changes: [peerChange('peer.disable', known.peer)] }),
    },
    {
      name: 'a second network server with one NetID',
      code: 'peer_exists',
      content: () => ({ changes: [peerAdd(unused.fingerprint, { id: '000077' })], certificates: [unused.cert] }),
      twin: () => withNewPeer('000078'),
    },
    {
      name: 'a certificate that another peer has',
      code: 'peer_exists',
      content: () => ({
        changes: [peerAdd(certificate.fingerprint, { id: '000079' })],
        certificates: [certificate.cert],
      }),
      twin: () => withNewPeer('000079'),
    },
    {
      name: 'a peer without its certificate',
      code: 'certificate_mismatch',
      content: () => ({ changes: [peerAdd(unused.fingerprint, { id: '00007a' })] }),
      twin: () => withNewPeer('00007a'),
    },
    {
      name: 'a certificate that the order does not name',
      code: 'certificate_mismatch',
      content: () => ({ changes: [deviceAdd(server.owner)], keys: [KEY], certificates: [unused.cert] }),
      twin: () => ({ changes: [deviceAdd(server.owner)], keys: [KEY] }),
    },
    {
      name: 'a certificate that is none',
      code: 'certificate_malformed',
      content: () => ({ changes: [peerAdd(unused.fingerprint, { id: '00007b' })], certificates: ['no certificate'] }),
      twin: () => withNewPeer('00007b'),
    },
    {
      name: 'an expired certificate',
      code: 'certificate_expired',
      content: () => {
        const expired = makeExpiredCertificate('expired.example')
        return { changes: [peerAdd(expired.fingerprint, { id: '00007c' })], certificates: [expired.cert] }
      },
      twin: () => withNewPeer('00007c'),
    },
    {
      name: 'a key that is not in the envelope',
      code: 'envelope_damaged',
      content: () => ({ changes: [deviceAdd(server.owner, { appKey: 1 })], keys: [KEY] }),
      twin: () => ({ changes: [deviceAdd(server.owner, { appKey: 1 })], keys: [KEY, KEY] }),
    },
    {
      name: 'no envelope',
      code: 'envelope_damaged',
      content: () => ({ changes: [deviceAdd(server.owner)] }),
      twin: () => ({ changes: [deviceAdd(server.owner, { appKey: 'generate' })] }),
    },
    {
      name: 'an epoch below the one that the database knows',
      code: 'order_epoch_too_low',
      content: () => ({ changes: [{ action: 'epoch.accept', epoch: server.storage.administration.hsmEpoch() - 1 }] }),
      twin: () => ({ changes: [{ action: 'epoch.accept', epoch: server.storage.administration.hsmEpoch() }] }),
    },
  ]

  it.each(rows)('$name ($code)', async ({ code, content, twin }) => {
    expect(await refusalOf(await nextOrder(content()))).toBe(code)
    await server.reached('ready')
    expect(await server.administration.submitOrder(await nextOrder(twin()))).toMatchObject({ state: 'adopted' })
  })

  function withNewPeer(id: string): Omit<OrderContent, 'sequence'> {
    const fresh = makeCertificate(`${id}.example`)
    return { changes: [peerAdd(fresh.fingerprint, { id })], certificates: [fresh.cert] }
  }
})

describe('the form of an order', () => {
  let good: SubmittedOrder
  beforeEach(async () => {
    await server.reached('ready')
    good = await nextOrder({ changes: [deviceAdd(server.owner)], keys: [KEY] })
  })

  const rows: {
    name: string
    code: AdministrationErrorCode
    broken: () => SubmittedOrder | Promise<SubmittedOrder>
  }[] = [
    {
      name: 'signed by another key',
      code: 'order_signature_invalid',
      broken: async () => {
        const { nextSequence: sequence } = await server.administration.status()
        return buildOrder(makeOperator(), hsm, { sequence, changes: [deviceAdd(server.owner)], keys: [KEY] })
      },
    },
    {
      name: 'signed by another key in the name of the operator',
      code: 'order_signature_invalid',
      broken: () => {
        const forged = signAsSubmitted(makeOperator(), Buffer.from(good.text)).signatures[0]!
        return { ...good, signatures: [{ signer: hsm.operator.signer, signature: forged.signature }] }
      },
    },
    {
      name: 'with a text that was altered',
      code: 'order_signature_invalid',
      broken: () => ({ ...good, text: good.text.replace('000013', '000014') }),
    },
    { name: 'without a signature', code: 'order_signature_invalid', broken: () => ({ ...good, signatures: [] }) },
    {
      name: 'with a second signature',
      code: 'order_signature_invalid',
      broken: () => ({ ...good, signatures: [good.signatures[0]!, good.signatures[0]!] }),
    },
    {
      name: 'with a signature that is too short',
      code: 'order_signature_invalid',
      broken: () => ({ ...good, signatures: [{ signer: hsm.operator.signer, signature: 'ab' }] }),
    },
    { name: 'that is no JSON', code: 'order_malformed', broken: () => ({ ...good, text: '{' }) },
    {
      name: 'with an unknown member',
      code: 'order_malformed',
      broken: () =>
        signAsSubmitted(hsm.operator, Buffer.from(good.text.replace('{', '{"more":1,')), Buffer.from(good.envelope!)),
    },
    {
      name: 'for another HSM',
      code: 'order_for_other_hsm',
      broken: () => resigned(good, { hsm: '00'.repeat(8) }),
    },
    {
      name: 'with the envelope of another order',
      code: 'envelope_damaged',
      broken: async () => {
        const other = await nextOrder({ changes: [deviceAdd(server.owner)], keys: [randomBytes(16)] })
        return { ...good, envelope: other.envelope }
      },
    },
    {
      name: 'with an envelope that is too large',
      code: 'envelope_damaged',
      broken: () => ({ ...good, envelope: 'x'.repeat(256 * 1024 + 1) }),
    },
    {
      name: 'with a sequence number that was used',
      code: 'order_sequence_taken',
      broken: async () => resigned(good, { sequence: (await server.administration.status()).nextSequence - 1 }),
    },
    {
      name: 'with a sequence number that leaves none for later',
      code: 'order_sequence_gap',
      broken: () => resigned(good, { sequence: 2 ** 47 }),
    },
  ]

  it.each(rows)('is refused $name ($code)', async ({ code, broken }) => {
    expect(await refusalOf(await broken())).toBe(code)
    const twin = await nextOrder({ changes: [deviceAdd(server.owner)], keys: [KEY] })
    expect(await server.administration.submitOrder(twin)).toMatchObject({ state: 'adopted' })
  })

  it('takes no sequence number when the signature is not the operator’s', async () => {
    const { nextSequence } = await server.administration.status()
    const forged = { ...good, signatures: [{ signer: hsm.operator.signer, signature: '00'.repeat(64) }] }
    expect(await refusalOf(forged)).toBe('order_signature_invalid')
    expect((await server.administration.status()).nextSequence).toBe(nextSequence)
    expect(await server.administration.submitOrder(good)).toMatchObject({ state: 'adopted' })
  })

  it('is shown with its code when the HSM refused it', async () => {
    const refused = await nextOrder({ changes: [deviceAdd(server.owner, { appKey: 7 })], keys: [KEY] })
    expect(await refusalOf(refused)).toBe('envelope_damaged')
    const [newest] = (await server.administration.status()).refusedOrders
    expect(newest).toMatchObject({ state: 'refused', code: 'envelope_damaged', signer: hsm.operator.signer })
    expect((await server.administration.listOrders('refused', 1))[0]).toEqual(newest)
  })
})

it('adopts orders that are submitted at once one after the other', async () => {
  const { nextSequence } = await server.administration.status()
  const adds = Array.from({ length: 8 }, () => deviceAdd(server.owner))
  const orders = adds.map((add, index) =>
    buildOrder(hsm.operator, hsm, { sequence: nextSequence + index, changes: [add], keys: [KEY] }),
  )
  const reports = await Promise.all(orders.map((submitted) => server.administration.submitOrder(submitted)))
  expect(reports.map(({ state }) => state)).toEqual(adds.map(() => 'adopted'))
  expect(server.adopter.allSettled).toBe(true)
})

it('reports the receipt of an adopted order once it is durable', async () => {
  const before = server.receipts.length
  await order(deviceAdd(server.owner))
  expect(server.receipts).toHaveLength(before + 1)
})

it('deletes the envelope of a settled order', async () => {
  const submitted = await nextOrder({ changes: [deviceAdd(server.owner)], keys: [KEY] })
  const { orderId } = await server.administration.submitOrder(submitted)
  const stored = server.storage.administration.findOrder(orderId)
  expect(stored).toMatchObject({ state: 'adopted', envelope: undefined })
  expect(stored?.text.toString()).toBe(submitted.text)
})

function recordOf(device: string) {
  const [keySet] = server.storage.administration.findDevice(Buffer.from(device, 'hex'))!.keySets
  return decodeDeviceRecord(keySet!.record)
}

async function peerView(peer: string) {
  return (await server.administration.listPeers()).find(({ peerId }) => peerId === peer)
}

function resigned(submitted: SubmittedOrder, change: Partial<Order>): SubmittedOrder {
  const text = orderText({ ...(JSON.parse(submitted.text) as Order), ...change })
  return signAsSubmitted(hsm.operator, text, Buffer.from(submitted.envelope!))
}
