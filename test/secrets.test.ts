import { createDecipheriv, randomBytes } from 'node:crypto'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { unwrapKeyEnvelope } from '@mortise/backend-interfaces'
import { describe, expect, test } from 'vitest'
import { BACKENDS, Installation } from './support/installation.ts'
import { findSecrets, searchFiles, searchMemory, type Secrets } from './support/memory.ts'
import { addPeer, AS_ID, enrolDevice, joinDevice, NET_ID, networkServer, setKek } from './support/parties.ts'
import { trustBoundaryOf } from './support/processes.ts'

/** The storage keys of an installation, as its recovery file gives them to whoever has the recovery key. */
function storageKeys(installation: Installation): Secrets {
  const recoveryKey = Buffer.from(
    readFileSync(join(installation.data, 'operator', 'recovery-key'), 'utf8').trim(),
    'hex',
  )
  const { blobs } = JSON.parse(readFileSync(join(installation.data, 'recovery.json'), 'utf8')) as {
    blobs: Record<string, string>
  }
  return new Map(
    Object.entries(blobs).map(([name, blob]) => {
      const cipher = createDecipheriv('id-aes256-wrap', recoveryKey, Buffer.alloc(8, 0xa6))
      return [name, Buffer.concat([cipher.update(Buffer.from(blob, 'hex')), cipher.final()])]
    }),
  )
}

describe.each(BACKENDS)('secrets, %s', (backend) => {
  test('are in no memory of the server, in no file and in no log, during joins, kek set and device add', async () => {
    await using installation = await Installation.create(backend)
    const needle = randomBytes(16)
    const secrets = new Map<string, Buffer>([
      ['passphrase or PIN', readFileSync(installation.secretFile)],
      ...storageKeys(installation),
    ])
    const server = await installation.serve()
    const directory = await addPeer(installation, 'ns', NET_ID)
    await addPeer(installation, 'as', AS_ID)
    // The needle is a label: the server keeps it in clear, in memory and in the database, in the form of hex digits.
    const asKek = await setKek(installation, 'as', AS_ID, needle.toString('hex'), 32)
    const nsKek = await setKek(installation, 'ns', NET_ID, 'network-1')
    secrets.set('AS KEK', asKek).set('NS KEK', nsKek)
    await using network = networkServer(server, directory, new Map([['network-1', nsKek]]))
    for (const macVersion of ['1.0.3', '1.0.4', '1.1.0'] as const) {
      const { device, rootKeys } = await enrolDevice(installation, macVersion)
      secrets.set(`AppKey ${macVersion}`, Buffer.from(rootKeys.appKey))
      if (rootKeys.nwkKey) secrets.set('NwkKey', Buffer.from(rootKeys.nwkKey))
      const { appSKey } = await joinDevice(network, device)
      secrets.set(`AppSKey ${macVersion}`, Buffer.from(unwrapKeyEnvelope(appSKey!, asKek)))
    }
    expect(secrets.size).toBeGreaterThanOrEqual(14)

    const everything = new Map([...secrets, ['needle', needle]])
    expect(searchMemory(server.pid, everything)).toEqual(['needle'])
    expect(findSecrets(Buffer.from(server.output), secrets)).toEqual([])
    const inFiles = searchFiles(installation.data, everything).filter((hit) => !hit.startsWith('needle'))
    expect(inFiles).toEqual([])
    expect(searchFiles(installation.data, new Map([['needle', needle]])).length).toBeGreaterThan(0)

    // The same search finds what is really there: the storage keys of the soft HSM, in the memory of its worker.
    const [worker] = trustBoundaryOf(server.pid).workers
    const inWorker = searchMemory(worker!.pid, secrets)
    if (backend === 'soft') expect(inWorker).toEqual(expect.arrayContaining(['rootUse', 'session', 'binding']))
  })

  test('the search finds a planted key in every form', async () => {
    const key = randomBytes(16)
    const secrets = new Map([['planted', key]])
    await using installation = await Installation.create(backend)
    for (const form of [key, key.toString('hex'), key.toString('hex').toUpperCase(), key.toString('base64')]) {
      writeFileSync(join(installation.data, 'planted'), form)
      expect(searchFiles(installation.data, secrets)).toEqual(['planted in planted'])
    }
    expect(existsSync(join(installation.data, 'mortise.db'))).toBe(true)
  })
})
