import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import type { ConnectionRefusal } from '../../src/http/connections.ts'
import { type ConnectionLimits, MANAGEMENT_API_LIMITS } from '../../src/http/limits.ts'
import { createManagementApi } from '../../src/http/management-api/index.ts'
import { ApiKeys } from '../../src/identity/index.ts'
import { LocalAdministration } from '../../src/kms/index.ts'
import { makeCertificate } from '../support/certificates.ts'
import { openOrCreate, until } from '../support/server.ts'
import { connectBytes, connectWire, type WireClient } from '../support/wire-client.ts'

const certificate = makeCertificate('localhost')

/** A management API over a database of its own, without HSM. */
async function startApi(limits: Partial<ConnectionLimits> = {}) {
  const directory = mkdtempSync(join(tmpdir(), 'mortise-api-'))
  const storage = openOrCreate(join(directory, 'mortise.db'))
  const refused: ConnectionRefusal[] = []
  const api = createManagementApi({
    tls: certificate,
    administration: new LocalAdministration({ storage: storage.administration }),
    apiKeys: new ApiKeys(storage.administration),
    readiness: () => ({ ready: true, reasons: [] }),
    metrics: { render: () => '' },
    limits: { ...MANAGEMENT_API_LIMITS, ...limits },
    refused: (reason) => refused.push(reason),
  })
  const { port } = await api.listen('127.0.0.1', 0)
  const client = { port, ca: certificate.cert }
  return {
    refused,
    connect: () => connectWire(client),
    connectBytes: () => connectBytes(client),
    close: () => api.close(),
    async [Symbol.asyncDispose]() {
      await api.close()
      storage[Symbol.dispose]()
      rmSync(directory, { recursive: true })
    },
  }
}

async function ask(client: WireClient): Promise<void> {
  const before = client.statuses.length
  client.socket.write('GET /livez HTTP/1.1\r\nHost: js\r\n\r\n')
  await until(() => client.statuses.length > before)
}

describe('connections of the management API', () => {
  it('are closed when they wait for nothing; one that is used again is kept', async () => {
    await using api = await startApi({ firstIdleMs: 100 })
    const [silent, once, reused] = await Promise.all([api.connect(), api.connect(), api.connect()])
    await ask(once)
    await ask(reused)
    await ask(reused)
    await until(() => silent.closed && once.closed)
    await delay(500)
    await ask(reused)
    expect(reused.statuses).toEqual([200, 200, 200])
    reused.socket.destroy()
  })

  it('are not more than allowed: the longest idle makes room', async () => {
    await using api = await startApi({ connections: 8 })
    const clients: WireClient[] = []
    for (let i = 0; i < 20; i++) {
      const client = await api.connect()
      await ask(client)
      clients.push(client)
    }
    await until(() => clients.filter(({ closed }) => !closed).length <= 8)
    expect(clients.slice(0, 12).every(({ closed }) => closed)).toBe(true)
    expect(new Set(api.refused)).toEqual(new Set(['room']))
    await ask(await api.connect())
  })

  it('do not keep it from closing, in whatever state they are', async () => {
    await using api = await startApi()
    const [silent, used, handshake] = await Promise.all([api.connect(), api.connect(), api.connectBytes()])
    await ask(used)
    const started = performance.now()
    await api.close()
    await until(() => silent.closed && used.closed && handshake.closed)
    expect(performance.now() - started).toBeLessThan(MANAGEMENT_API_LIMITS.drainTimeoutMs)
  })
})
