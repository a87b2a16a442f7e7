import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { searchFiles, searchMemory } from '../support/memory.ts'
import { descendantsOf, environmentOf } from '../support/processes.ts'
import { NEEDLE, type SecretScene } from '../support/secret-scene.ts'
import { SecretSearch } from '../support/secret-search.ts'
import { namesOf } from './names.ts'

const OPERATORS_FILE = / in operator\//

/** No secret in the places where it does not belong. Each search also finds what is really there. */
export function placesTests(scene: () => SecretScene): void {
  test('none crosses the socket between server and HSM process', () => {
    const { serverRelay, clear } = scene()
    const all = scene().searchForAll()
    const found = namesOf(serverRelay.streams.flatMap((stream) => all.find(stream)))
    // Session keys of a network without a KEK do cross, and so does what is no secret.
    expect(found.toSorted()).toEqual([...clear.keys(), NEEDLE].toSorted())
  })

  test('none but the passphrase or PIN crosses the custodian socket', () => {
    const all = scene().searchForAll()
    const found = scene().custodianRelay.streams.flatMap((stream) => all.find(stream))
    expect(found).toEqual(['passphrase or PIN (raw)'])
  })

  test('none is in what network servers and the application server send and receive', () => {
    const { wire, clear } = scene()
    const all = scene().searchForAll()
    // The label of the KEK of the application server is the needle.
    for (const text of [wire.wrapped, wire.application]) expect(all.findInText(text)).toEqual(['needle (hex)'])
    expect(namesOf(all.findInText(wire.plain)).toSorted()).toEqual([...clear.keys(), NEEDLE].toSorted())
  })

  test('none is in a file, also while orders wait, outside the directory of the operator', () => {
    const { installation, secrets, foundWhileOrdersWaited } = scene()
    const { data, temporary, root, backend } = installation
    const all = scene().searchForAll()
    const places = [data, temporary, ...(backend === 'pkcs11' ? [join(root, 'softhsm')] : [])]
    for (const found of [foundWhileOrdersWaited, places.flatMap((place) => searchFiles(place, all))]) {
      expect(namesOf(found.filter((hit) => !OPERATORS_FILE.test(hit)))).toEqual([NEEDLE])
      expect(found.join()).toMatch(/needle \(hex\) in mortise\.db/)
      const theirs = namesOf(found.filter((hit) => OPERATORS_FILE.test(hit)))
      expect(theirs.toSorted()).toEqual(['API key', 'CA key', 'operator key', 'recovery key'])
    }
    for (const place of places) {
      writeFileSync(join(place, 'planted'), secrets.get('AppKey 1.0.4') ?? '')
      expect(searchFiles(place, all)).toContain('AppKey 1.0.4 (raw) in planted')
      rmSync(join(place, 'planted'))
    }
  })

  test('none is in the log of the server, of the HSM process, or in what commands print', () => {
    expect(scene().searchForAll().findInText(scene().said)).toEqual(['needle (hex)'])
  })

  test('none is in an answer of the management API, metrics included', async () => {
    const all = scene().searchForAll()
    const { paths } = JSON.parse(await scene().api('/api/v1/openapi.json')) as {
      paths: Record<string, Record<string, unknown>>
    }
    const listed = Object.keys(paths).filter((path) => 'get' in (paths[path] ?? {}) && !path.includes('{'))
    expect(listed).toEqual(expect.arrayContaining(['/api/v1/devices', '/api/v1/keks', '/metrics']))
    for (const path of listed) {
      const found = all.findInText(await scene().api(path))
      expect(found).toEqual(path === '/api/v1/keks' ? ['needle (hex)'] : [])
    }
    const metric = new SecretSearch(new Map([['metric', Buffer.from('process_resident_memory_bytes')]]))
    expect(metric.findInText(await scene().api('/metrics'))).toEqual(['metric (raw)'])
  })

  test('none is in the command line or the environment of a process', () => {
    const { server, hsm } = scene()
    const all = scene().searchForAll()
    const pids = [server.pid, hsm.pid, ...descendantsOf(hsm.pid).map(({ pid }) => pid)]
    expect(pids).toHaveLength(3)
    for (const pid of pids) {
      const commandLine = readFileSync(`/proc/${pid}/cmdline`)
      // Its title: what a process was started with is in test/leaks-start.test.ts.
      expect(commandLine.toString()).toMatch(/^mortise (hsm )?(serve|worker)/)
      expect(all.find(commandLine)).toEqual([])
      const environment = environmentOf(pid)
      if (environment !== undefined) expect(all.find(environment)).toEqual(['needle (hex)'])
    }
  })

  test('the same search finds storage keys, or the PIN, in the memory of the HSM process', () => {
    const { hsm, installation } = scene()
    const all = scene().searchForAll()
    const pids = [hsm.pid, ...descendantsOf(hsm.pid).map(({ pid }) => pid)]
    if (process.getuid?.() !== 0) {
      // The HSM process is closed to its own user.
      for (const pid of pids) expect(() => searchMemory(pid, all)).toThrow(/EACCES|EPERM/)
      return
    }
    const found = namesOf(pids.flatMap((pid) => searchMemory(pid, all)))
    const expected = installation.backend === 'soft' ? ['rootUse', 'session', 'binding'] : ['passphrase or PIN']
    expect(found).toEqual(expect.arrayContaining(expected))
  })
}
