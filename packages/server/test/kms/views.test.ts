import { randomBytes } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { AdministrationError, type InstalledCertificate } from '../../src/kms/index.ts'
import { warningsOf } from '../../src/kms/warnings.ts'
import { JOIN_EUI, joinOnce } from '../storage/fixtures.ts'
import { startHsm, type TestHsm } from '../support/hsm.ts'
import { buildOrder, deviceAdd } from '../support/orders.ts'
import { startServer, type TestServer } from '../support/server.ts'

describe('a device that joined', () => {
  let hsm: TestHsm
  let server: TestServer
  beforeAll(async () => {
    hsm = await startHsm()
    server = await startServer(hsm)
    await server.reached('ready')
  })
  afterAll(async () => {
    await server[Symbol.asyncDispose]()
    await hsm[Symbol.asyncDispose]()
  })

  it('shows its nonces, its last join and its sessions, newest first', async () => {
    const add = deviceAdd(server.owner, { joinEui: JOIN_EUI })
    const order = buildOrder(hsm.operator, hsm, { sequence: 1, changes: [add], keys: [randomBytes(16)] })
    await server.administration.submitOrder(order)
    const first = await joinOnce(server.storage, add.devEui)
    const second = await joinOnce(server.storage, add.devEui)
    const [view] = await server.administration.findDevices(add.devEui)
    const session = { netId: '000013', devAddr: '26011bda', at: '2023-11-14T22:13:20.789Z' }
    const [newest, oldest] = [second, first].map(({ last }) => ({
      ...session,
      sessionKeyId: last.sessionKeyId.toString('hex'),
    }))
    expect(view).toMatchObject({ lastJoinNonce: 2, lastDevNonce: 1, lastJoin: newest, sessions: [newest, oldest] })
  })

  it('shows how long its nonces last', async () => {
    const [random, counter] = (['1.0.3', '1.0.4'] as const).map((macVersion) =>
      deviceAdd(server.owner, { joinEui: JOIN_EUI, macVersion }),
    )
    const changes = [random!, counter!]
    const keys = [randomBytes(16), randomBytes(16)]
    await server.administration.submitOrder(buildOrder(hsm.operator, hsm, { sequence: 2, changes, keys }))
    const fresh = { devNoncesLeft: 65_536, joinNoncesLeft: 16_777_215, joinsLeft: 65_536, warnings: [] }
    const [before] = await server.administration.findDevices(random!.devEui)
    expect(before).toMatchObject({ lastJoinNonce: 0, devNoncesUsed: 0 })
    expect(before!.nonces).toEqual({ ...fresh, behaviour: 'random', refusalProbability: 0, triesPerJoin: 1 })
    await joinOnce(server.storage, counter!.devEui)
    const [after] = await server.administration.findDevices(counter!.devEui)
    expect(after).toMatchObject({ devNoncesUsed: 1, nonces: { behaviour: 'counter', devNoncesPerJoin: 1 } })
    expect(after!.nonces).toMatchObject({ devNoncesLeft: 65_535, joinNoncesLeft: 16_777_214, warnings: [] })
    expect(after!.nonces).not.toHaveProperty('refusalProbability')
  })
})

describe('warnings', () => {
  const NOW = Date.UTC(2026, 10, 21)
  const key = Buffer.from('operator')
  const calm = {
    hsmState: 'ready',
    operator: key,
    hsmOperator: key,
    hsmKnowsMoreOrders: false,
    databaseFailure: undefined,
    obstacle: undefined,
    certificates: [],
    nowMs: NOW,
  } as const
  const day = 24 * 60 * 60 * 1000
  const ending = (notAfter: number, of: Partial<InstalledCertificate> = {}): InstalledCertificate => ({
    ...{ kind: 'ns', id: '000013', names: [], isAuthority: false, isDisabled: false },
    ...{ fingerprint: 'ab'.repeat(32), subject: 'CN=000013', notBefore: 0, notAfter },
    ...of,
  })

  it('there are none when all is well', () => {
    expect(warningsOf({ ...calm, certificates: [ending(NOW + 31 * day)] })).toEqual([])
    expect(warningsOf({ ...calm, hsmState: undefined, hsmOperator: undefined })).toEqual([])
  })

  it.each([
    ['a sealed HSM', { hsmState: 'sealed' }, 'mortise unseal'],
    ['a store that was rolled back', { hsmState: 'rolled-back' }, 'older than the database'],
    ['an operator key that the database lacks', { operator: undefined }, 'does not know the operator key'],
    ['an HSM of another operator', { hsmOperator: Buffer.from('another') }, 'obeys another operator key'],
    ['an HSM that knows more orders than the database', { hsmKnowsMoreOrders: true }, 'an older copy'],
    ['commits that fail', { databaseFailure: 'disk_full' }, 'fail (disk_full)'],
    ['an order that waits', { obstacle: new AdministrationError('disk_full') }, 'disk_full'],
    ['a certificate that expires', { certificates: [ending(NOW + 29 * day)] }, 'of ns 000013 expires on 2026-12-20'],
    ['a certificate that expired', { certificates: [ending(NOW - day)] }, 'of ns 000013 expired on 2026-11-20'],
    [
      'the certificate of the server',
      { certificates: [ending(NOW + day, { kind: 'server', id: 'listeners' })] },
      'of the server (listeners) expires on 2026-11-22',
    ],
    [
      'the CA',
      { certificates: [ending(NOW + day, { kind: 'ca', id: 'installation', isAuthority: true })] },
      'mortise certificate renew --ca',
    ],
    [
      'the CA of a peer',
      { certificates: [ending(NOW + day, { isAuthority: true })] },
      'of the CA of ns 000013 expires on 2026-11-22',
    ],
    [
      'a certificate that has a newer one beside it',
      { certificates: [ending(NOW + day), ending(NOW + 800 * day)] },
      'The older certificate of ns 000013 expires on 2026-11-22',
    ],
  ] as const)('name %s', (_name, facts, text) => {
    const warnings = warningsOf({ ...calm, ...facts })
    expect(warnings).toHaveLength(1)
    expect(warnings[0]).toContain(text)
  })

  it('say nothing about the certificate of a disabled peer', () => {
    expect(warningsOf({ ...calm, certificates: [ending(NOW - day, { isDisabled: true })] })).toEqual([])
  })

  it('name ten certificates, the soonest first, and count the others', () => {
    const certificates = Array.from({ length: 13 }, (_, index) =>
      ending(NOW + (20 - index) * day, { id: `as-${index}` }),
    )
    const warnings = warningsOf({ ...calm, certificates })
    expect(warnings).toHaveLength(11)
    expect(warnings[0]).toContain('as-12')
    expect(warnings[10]).toBe('3 more certificates end soon: see `mortise certificate list`.')
  })
})
