import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { CommandProcess, encodeLoadFleet, type Members, STORM_MAIN } from '../../src/index.ts'
import { startJoinServer } from '../join-server.ts'
import { type OracleNetwork, startOracleNetwork } from '../network.ts'
import { KEK } from './fleet.ts'
import { OracleServer, SIZE } from './oracle-server.ts'

let network: OracleNetwork
beforeAll(async () => {
  network = await startOracleNetwork()
})
afterAll(() => network[Symbol.asyncDispose]())

interface Region {
  readonly server: OracleServer
  readonly addresses: Set<string>
  readonly run: (options?: object) => Promise<Members>
}

/** Two network servers, one of each kind, the first with three quarters of the devices. */
async function withRegion(delayMs: (join: number) => number, work: (region: Region) => Promise<void>): Promise<void> {
  const server = new OracleServer('1.1.0')
  const addresses = new Set<string>()
  await using joinServer = await startJoinServer(network.dir, async (body, from) => {
    addresses.add(from)
    const answer = server.answer(body)
    await delay(delayMs(server.joins))
    return answer
  })
  const file = (name: string, text: string) => {
    writeFileSync(join(network.dir, name), text, { mode: 0o600 })
    return name
  }
  const tls = { caFile: 'ca.crt', certFile: 'client.crt', keyFile: 'client.key' }
  const configuration = {
    ...{ host: '127.0.0.1', port: Number(new URL(joinServer.url).port), kekLabel: 'as-1' },
    ...{ connections: SIZE, newConnections: false },
    fleetFile: file('storm-fleet.json', encodeLoadFleet(server.fleet)),
    kekFile: file('as.kek', KEK.toString('hex')),
    peers: [
      { ...tls, netId: '000013', kind: 'chirpstack', share: 3, localAddress: '127.0.0.2' },
      { ...tls, netId: '000024', kind: 'the-things-stack', share: 1, localAddress: '127.0.0.3' },
    ],
  }
  const config = join(network.dir, file('storm.json', JSON.stringify(configuration)))
  await using storm = new CommandProcess({ program: STORM_MAIN, args: ['--config', config] })
  const run = (options = {}) =>
    storm.request('run', { spreadSeconds: 0.5, timeScale: 1000, timeoutSeconds: 30, ...options })
  await work({ server, addresses, run })
}

const numbersOf = (members: Members, name: string) => members.objects('peers').map((peer) => peer.number(name))

describe('a storm', () => {
  test('is over when every device of every network has joined', () =>
    withRegion(
      () => 0,
      async ({ run, addresses }) => {
        const result = await run()
        expect(result.number('joined')).toBe(SIZE)
        expect(result.number('transmitted')).toBe(SIZE)
        expect(result.number('mostTransmissions')).toBe(1)
        expect(numbersOf(result, 'devices')).toEqual([30, 10])
        expect(numbersOf(result, 'joined')).toEqual([30, 10])
        expect(result.object('lost').names()).toEqual([])
        expect(result.objects('seconds').reduce((sum, second) => sum + second.number('joined'), 0)).toBe(SIZE)
        expect([...addresses].sort()).toEqual(['127.0.0.2', '127.0.0.3'])
      },
    ))

  test('lets a device try again that was refused, after its windows have passed', () =>
    withRegion(
      () => 0,
      async ({ server, run }) => {
        server.refusesFirst = true
        const result = await run()
        expect(result.number('joined')).toBe(SIZE)
        expect(result.number('transmitted')).toBe(2 * SIZE)
        expect(result.object('lost').number('Other')).toBe(SIZE)
        expect(result.number('lastJoinSeconds')).toBeGreaterThan(6)
      },
    ))

  test('knows how long each kind of network server waits', () =>
    withRegion(
      // Late for the first window, and not for the second.
      (join) => (join <= SIZE ? 5500 : 0),
      async ({ run }) => {
        const result = await run()
        expect(result.number('joined')).toBe(SIZE)
        expect(numbersOf(result, 'transmitted')).toEqual([60, 10])
        expect(result.object('lost').number('given up')).toBe(30)
      },
    ))

  test('says who never joined, and when an answer was wrong', () =>
    withRegion(
      () => 0,
      async ({ server, run }) => {
        server.lie = 'network key'
        const result = await run({ timeoutSeconds: 2 })
        expect(result.number('joined')).toBe(0)
        expect(result.text('firstWrong')).toMatch(/NwkSIntKey/)
      },
    ))
})
