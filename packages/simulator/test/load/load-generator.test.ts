import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { CommandProcess, encodeLoadFleet, LOAD_GENERATOR_MAIN } from '../../src/index.ts'
import { startJoinServer, type TestJoinServer } from '../join-server.ts'
import { type OracleNetwork, startOracleNetwork } from '../network.ts'
import { KEK, NET_ID } from './fleet.ts'
import { OracleServer, SIZE } from './oracle-server.ts'

let network: OracleNetwork
beforeAll(async () => {
  network = await startOracleNetwork()
})
afterAll(() => network[Symbol.asyncDispose]())

function startGenerator(server: OracleServer, { url }: TestJoinServer, expected: 'join' | 'constant'): CommandProcess {
  const file = (name: string, text: string) => {
    writeFileSync(join(network.dir, name), text, { mode: 0o600 })
    return name
  }
  const configuration = {
    ...{ host: '127.0.0.1', port: Number(new URL(url).port), netId: NET_ID, kekLabel: 'as-1', expect: expected },
    ...{ caFile: 'ca.crt', certFile: 'client.crt', keyFile: 'client.key' },
    fleetFile: file('fleet.json', encodeLoadFleet(server.fleet)),
    kekFile: file('as.kek', KEK.toString('hex')),
  }
  const config = join(network.dir, file('load.json', JSON.stringify(configuration)))
  return new CommandProcess({ program: LOAD_GENERATOR_MAIN, args: ['--config', config] })
}

const KEPT_ALIVE = { connections: 8, connect: 'kept-alive', idleConnections: 0 }

async function load(generator: CommandProcess, settings: object, seconds = 0.4) {
  await generator.request('start', { ...settings })
  const window = await generator.request('window', { seconds })
  const totals = await generator.request('stop')
  return { window, totals }
}

describe.each(['1.0.4', '1.1.0'] as const)('the load generator as a process, LoRaWAN %s', (macVersion) => {
  test('finds every right answer right, and takes its time', async () => {
    const server = new OracleServer(macVersion)
    await using joinServer = await startJoinServer(network.dir, (body) => server.answer(body))
    await using generator = startGenerator(server, joinServer, 'join')
    expect((await generator.request('self-test')).number('noticed')).toBeGreaterThan(8)
    const { window, totals } = await load(generator, KEPT_ALIVE)
    expect(totals.number('failed')).toBe(0)
    expect(totals.number('checked')).toBe(totals.number('answered'))
    expect(totals.number('answered')).toBe(server.joins - 1)
    expect(window.number('answered')).toBeGreaterThan(0)
    expect(window.number('p50Ms')).toBeGreaterThan(0)
    expect(window.number('maxMs')).toBeGreaterThanOrEqual(window.number('p99Ms'))
    expect(server.joinNonces.size).toBe(SIZE)
  })

  test.each(['network key', 'old JoinNonce', 'constant'] as const)('notices a lie: %s', async (lie) => {
    const server = new OracleServer(macVersion)
    await using joinServer = await startJoinServer(network.dir, (body) => server.answer(body))
    await using generator = startGenerator(server, joinServer, 'join')
    await generator.request('self-test')
    server.lie = lie
    const { totals } = await load(generator, KEPT_ALIVE)
    expect(totals.number('failed')).toBeGreaterThan(0)
    expect(totals.text('firstFailure')).not.toBe('')
    if (lie !== 'old JoinNonce')
      await expect(generator.request('self-test')).rejects.toMatchObject({ code: 'self_test_failed' })
  })
})

describe('the load generator as a process', () => {
  async function withServer(work: (server: OracleServer, joinServer: TestJoinServer) => Promise<void>) {
    const server = new OracleServer('1.0.4')
    await using joinServer = await startJoinServer(network.dir, (body) => server.answer(body))
    await work(server, joinServer)
  }

  test('lets every device have one request under way, where more are allowed', () =>
    withServer(async (server, joinServer) => {
      await using generator = startGenerator(server, joinServer, 'join')
      const { totals } = await load(generator, { ...KEPT_ALIVE, connections: 3 * SIZE })
      expect(totals.number('failed')).toBe(0)
      expect(totals.number('answered')).toBeGreaterThan(SIZE)
    }))

  test('keeps to a rate', () =>
    withServer(async (server, joinServer) => {
      await using generator = startGenerator(server, joinServer, 'join')
      const { totals } = await load(generator, { ...KEPT_ALIVE, rate: 50 }, 1)
      expect(totals.number('answered')).toBeGreaterThan(25)
      expect(totals.number('answered')).toBeLessThan(75)
      expect(totals.number('failed')).toBe(0)
    }))

  test('opens a connection for each join if it is told to, and keeps so many open', () =>
    withServer(async (server, joinServer) => {
      await using generator = startGenerator(server, joinServer, 'join')
      const { window, totals } = await load(generator, { connections: 4, connect: 'new', idleConnections: 10 }, 1)
      expect(totals.number('failed')).toBe(0)
      expect(totals.number('answered')).toBeGreaterThan(10)
      expect(window.number('idle')).toBe(10)
    }))

  test('takes the constant answer of a bare server, and no other', () =>
    withServer(async (server, joinServer) => {
      server.lie = 'constant'
      await using generator = startGenerator(server, joinServer, 'constant')
      expect((await load(generator, KEPT_ALIVE)).totals.number('failed')).toBe(0)
      server.lie = 'none'
      expect((await load(generator, KEPT_ALIVE)).totals.number('failed')).toBeGreaterThan(0)
    }))

  test('counts requests that get no answer', () =>
    withServer(async (server, joinServer) => {
      await using generator = startGenerator(server, joinServer, 'join')
      await joinServer[Symbol.asyncDispose]()
      const { totals } = await load(generator, { ...KEPT_ALIVE, rate: 100 }, 0.2)
      expect(totals.number('answered')).toBe(0)
      expect(totals.number('failed')).toBeGreaterThan(0)
    }))
})
