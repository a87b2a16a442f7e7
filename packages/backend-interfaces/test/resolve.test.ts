import { type ResolvedServer, ResolveError, resolveJoinEui, resolveNetId } from '@mortise/backend-interfaces'
import { parseJoinEui, parseNetId } from '@mortise/lorawan'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { DnsServer, type ZoneRecord } from './dns-server.ts'

// TS002 1.0 §19 has this JoinEUI and this NetID as its examples.
const JOIN_EUI = parseJoinEui('00005e100000002f')
const NAME = 'f.2.0.0.0.0.0.0.0.1.e.5.0.0.0.0.joineuis.lora-alliance.org'
const NET_ID = parseNetId('00050a')
const NETWORK = '00050a.netids.lora-alliance.org'

let shared: DnsServer
beforeAll(async () => {
  shared = await DnsServer.start()
})
afterAll(async () => {
  await shared[Symbol.asyncDispose]()
})
beforeEach(() => {
  shared.asked.length = 0
})

type Naptr = Extract<ZoneRecord, { type: 'NAPTR' }>
const naptr = (change: Partial<Naptr>): Naptr => ({
  ...{ type: 'NAPTR', order: 100, preference: 10, flags: 'S', service: 'LWNS', regexp: '', replacement: '' },
  ...change,
})
const srv = (target: string, change: Partial<Extract<ZoneRecord, { type: 'SRV' }>> = {}): ZoneRecord => ({
  ...{ type: 'SRV', priority: 0, weight: 0, port: 443, target },
  ...change,
})
const A: ZoneRecord = { type: 'A', address: '192.0.2.1' }

/** A zone of its own for one test. */
async function resolve(zone: Record<string, ZoneRecord[]>): Promise<ResolvedServer[]> {
  await using server = await DnsServer.start()
  for (const [name, records] of Object.entries(zone)) server.add(name, ...records)
  return await resolveJoinEui(JOIN_EUI, { resolver: server.resolver() })
}

const told = (servers: readonly ResolvedServer[]) => servers.map(({ url, by }) => `${by} ${url.href}`)

describe('the name', () => {
  test('of a JoinEUI is its digits, the last one first; of a NetID its digits together', async () => {
    const resolver = shared.resolver()
    shared.add(NETWORK, naptr({ flags: 'A', replacement: 'ns.example' }))
    expect(await resolveJoinEui(JOIN_EUI, { resolver })).toEqual([])
    expect(told(await resolveNetId(NET_ID, { resolver }))).toEqual(['address https://ns.example/'])
    expect(shared.asked).toEqual([`NAPTR ${NAME}`, `A ${NAME}`, `AAAA ${NAME}`, `NAPTR ${NETWORK}`])
  })

  test('lies below another domain where one is given', async () => {
    await resolveJoinEui(JOIN_EUI, { resolver: shared.resolver(), domain: 'joineuis.iotreg.net' })
    expect(shared.asked[0]).toBe('NAPTR f.2.0.0.0.0.0.0.0.1.e.5.0.0.0.0.joineuis.iotreg.net')
  })
})

describe('NAPTR with the flag', () => {
  test.each([
    ['S leads by SRV', naptr({ replacement: '_lwns._tcp.js.example' }), 'srv https://js.example:8443/'],
    [
      's leads by SRV',
      naptr({ flags: 's', service: 'lwns', replacement: '_lwns._tcp.js.example' }),
      'srv https://js.example:8443/',
    ],
    ['A leads to an address', naptr({ flags: 'A', replacement: 'js.example' }), 'address https://js.example/'],
    [
      'A of the service without TLS says so',
      naptr({ flags: 'A', service: 'LWN', replacement: 'js.example' }),
      'address http://js.example/',
    ],
    ['U leads to a URI', naptr({ flags: 'U', regexp: '!^.*$!https://js.example/bi!' }), 'uri https://js.example/bi'],
    ['P leads on', naptr({ flags: 'P', replacement: 'next.example' }), 'address https://behind.example/'],
    ['"" leads on', naptr({ flags: '', replacement: 'next.example' }), 'address https://behind.example/'],
  ])('%s', async (_what, record, expected) => {
    const servers = await resolve({
      [NAME]: [record],
      '_lwns._tcp.js.example': [srv('js.example', { port: 8443 })],
      'next.example': [naptr({ flags: 'A', replacement: 'behind.example' })],
    })
    expect(told(servers)).toEqual([expected])
  })

  test.each([
    ['another service', naptr({ flags: 'A', service: 'SIP+D2T', replacement: 'sip.example' })],
    ['a flag that nobody knows', naptr({ flags: 'X', replacement: 'js.example' })],
    ['an SRV that says there is no service', naptr({ replacement: 'none.example' })],
    ['an expression of its own', naptr({ flags: 'U', regexp: '!^(.+)+$!https://js.example/bi!' })],
    ['a reference into the name', naptr({ flags: 'U', regexp: String.raw`!^.*$!https://\1.example/!` })],
    ['a URI of another kind', naptr({ flags: 'U', regexp: '!^.*$!file:///etc/passwd!' })],
    ['a target that is no host', naptr({ flags: 'A', replacement: 'js example' })],
  ])('is passed over with %s, and the address of the name counts', async (_what, record) => {
    const zone = { [NAME]: [record], 'none.example': [srv('.')] }
    expect(told(await resolve(zone))).toEqual([])
    expect(told(await resolve({ ...zone, [NAME]: [record, A] }))).toEqual([`name https://${NAME}/`])
  })
})

describe('of several records', () => {
  test('the lowest order counts, there the lowest preference comes first', async () => {
    const at = (order: number, preference: number, replacement: string) =>
      naptr({ flags: 'A', order, preference, replacement })
    const zone = [at(20, 1, 'late.example'), at(10, 2, 'second.example'), at(10, 1, 'first.example')]
    const expected = ['address https://first.example/', 'address https://second.example/']
    expect(told(await resolve({ [NAME]: zone }))).toEqual(expected)
  })

  test('an order that leads nowhere makes room for the next', async () => {
    const broken = naptr({ order: 1, replacement: 'nowhere.example' })
    const good = naptr({ order: 2, flags: 'A', replacement: 'js.example' })
    expect(told(await resolve({ [NAME]: [broken, good] }))).toEqual(['address https://js.example/'])
  })

  test('SRV goes by priority, then by weight', async () => {
    const records = [
      srv('never-first.example', { priority: 2, weight: 65535 }),
      srv('rare.example', { priority: 1, weight: 1 }),
      srv('often.example', { priority: 1, weight: 60000 }),
    ]
    const zone = { [NAME]: [naptr({ replacement: 'srv.example' })], 'srv.example': records }
    const firsts = new Map<string, number>()
    for (let round = 0; round < 40; round++) {
      const [first, second, third, ...others] = told(await resolve(zone))
      firsts.set(first!, (firsts.get(first!) ?? 0) + 1)
      expect([second, third, others.length]).toEqual([expect.any(String), 'srv https://never-first.example/', 0])
    }
    // Chance would have it otherwise once in 10^60.
    expect(firsts.get('srv https://often.example/')).toBeGreaterThan(20)
  })
})

describe('the form of ChirpStack', () => {
  test.each<[string, ZoneRecord]>([
    ['IPv4', A],
    ['IPv6', { type: 'AAAA', address: '2001:db8:0:0:0:0:0:1' }],
  ])('is an address at the name, %s', async (_what, record) => {
    expect(told(await resolve({ [NAME]: [record] }))).toEqual([`name https://${NAME}/`])
  })

  test('comes after NAPTR', async () => {
    const zone = { [NAME]: [A, naptr({ flags: 'A', replacement: 'js.example' })] }
    expect(told(await resolve(zone))).toEqual(['address https://js.example/'])
  })
})

describe('failures', () => {
  test('of the name server are none of the zone', async () => {
    await using server = await DnsServer.start()
    server.failing.add(NAME)
    const resolver = server.resolver()
    await expect(resolveJoinEui(JOIN_EUI, { resolver })).rejects.toBeInstanceOf(ResolveError)
    server.failing.clear()
    expect(await resolveJoinEui(JOIN_EUI, { resolver })).toEqual([])
  })

  test('records that lead in a circle have an end', async () => {
    await using server = await DnsServer.start()
    server.add(NAME, naptr({ flags: 'P', replacement: 'circle.example' }))
    server.add(
      'circle.example',
      ...[1, 2, 3].map((order) => naptr({ order, flags: 'P', replacement: 'circle.example' })),
    )
    await expect(resolveJoinEui(JOIN_EUI, { resolver: server.resolver() })).rejects.toThrow('lead on')
    expect(server.asked).toHaveLength(16)
  })
})
