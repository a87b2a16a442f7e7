import { readdirSync } from 'node:fs'
import { expect, test } from 'vitest'
import { coresAreFilesHere, dumpCore } from '../support/core-dump.ts'
import { searchFile, searchMemory } from '../support/memory.ts'
import { NEEDLE, type SecretScene } from '../support/secret-scene.ts'
import { namesOf } from './names.ts'

/** The last test of a scene: its processes end by it. */
export function dumpTests(scene: () => SecretScene): void {
  test('none but the API key is in the memory of the server, nor in its core dump; the HSM process leaves none', async () => {
    const { server, hsm, installation, clear } = scene()
    const all = scene().searchForAll()
    const found = [namesOf(searchMemory(server.pid, all))]
    // Elsewhere the memory that was just searched has to do: it is what a debugger writes into a dump.
    if (coresAreFilesHere()) found.push(namesOf(searchFile(await dumpCore(server, installation.root), all)))
    for (const names of found) {
      // The API key comes with every request of the operator, and clear session keys pass through.
      const expected = ['API key', NEEDLE, ...clear.keys()]
      expect(names.filter((name) => !expected.includes(name))).toEqual([])
      expect(names).toContain(NEEDLE)
      expect(names.some((name) => clear.has(name))).toBe(true)
    }
    const files = readdirSync(installation.root)
    await hsm.kill('SIGABRT')
    expect(readdirSync(installation.root)).toEqual(files)
  })
}
