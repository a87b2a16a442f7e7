import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { DnsServer } from '../packages/backend-interfaces/test/dns-server.ts'
import { type CommandResult, Installation } from './support/installation.ts'

const NAME = '1.0.0.0.0.0.0.d.e.7.5.d.3.b.0.7.joineuis.example.com'

let installation: Installation
let dns: DnsServer
beforeAll(async () => {
  installation = Installation.prepare('soft')
  dns = await DnsServer.start()
  const naptr = { type: 'NAPTR', order: 100, preference: 10, service: 'LWNS', regexp: '' } as const
  dns.add(NAME, { ...naptr, flags: 'S', replacement: '_lwns._tcp.js.example' })
  dns.add('_lwns._tcp.js.example', { type: 'SRV', priority: 0, weight: 0, port: 8443, target: 'js.example' })
  dns.add('000013.netids.lora-alliance.org', { type: 'A', address: '192.0.2.1' })
})
afterAll(async () => {
  await dns[Symbol.asyncDispose]()
  await installation[Symbol.asyncDispose]()
})

const resolve = (...words: string[]): Promise<CommandResult> =>
  installation.try('dns', 'resolve', ...words, '--dns-server', dns.address)

describe('mortise dns resolve', () => {
  test('shows the servers of a JoinEUI and how they were found', async () => {
    const words = ['70B3D57ED0000001', '--domain', 'joineuis.example.com']
    const { stdout } = await resolve(...words)
    expect(stdout).toContain('https://js.example:8443/  NAPTR and SRV')
    expect(JSON.parse((await resolve(...words, '--json')).stdout)).toEqual({
      joinEui: '70b3d57ed0000001',
      servers: [{ url: 'https://js.example:8443/', by: 'srv' }],
    })
  })

  test('and of a NetID', async () => {
    const { stdout } = await resolve('000013')
    expect(stdout).toContain('https://000013.netids.lora-alliance.org/  the name itself')
  })

  test('tells what is not published from what could not be asked', async () => {
    const unknown = await resolve('000014', '--json')
    expect(unknown.code).toBe(1)
    expect(JSON.parse(unknown.stderr)).toMatchObject({ code: 'name_unknown' })
    dns.failing.add('000015.netids.lora-alliance.org')
    const failed = await resolve('000015', '--json')
    expect(failed.code).toBe(1)
    expect(JSON.parse(failed.stderr)).toMatchObject({ code: 'dns_failed' })
  })

  test.each(['70b3', '70b3d57ed000000g'])('wants a JoinEUI or a NetID, not %s', async (text) => {
    expect((await resolve(text)).code).toBe(2)
  })
})
