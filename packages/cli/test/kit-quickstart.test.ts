import { execFile } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { describe, expect, test } from 'vitest'
import { BIN, Server, Workplace } from './mortise.ts'

const run = promisify(execFile)
/** A document has a dozen commands, each a process. */
const DOCUMENT_TIMEOUT_MS = 180_000
const DOCS = new URL('../../../docs/', import.meta.url)

/** What belongs to other machines or programs, or is done by the test itself. */
const NOT_HERE = /\bsudo\b|^npm |mortise serve|config\/stack/m

function blocks(document: string): string[] {
  const text = readFileSync(new URL(document, DOCS), 'utf8')
  return Array.from(text.matchAll(/^ *```sh\n([^]*?)^ *```$/gm), ([, block = '']) => block)
}

describe('the commands of', () => {
  test.each([
    ['quickstart-chirpstack.md', 8],
    ['quickstart-the-things-stack.md', 8],
  ])(
    '%s can be run one after another, and the kit passes its test',
    async (document, least) => {
      using place = new Workplace()
      const env = { ...process.env, MORTISE_DATA: place.data, PATH: `${dirname(BIN)}:${process.env['PATH'] ?? ''}` }
      const shell = async (script: string): Promise<string> => {
        const { stdout } = await run('bash', ['-euo', 'pipefail', '-c', `umask 077\n${script}`], {
          cwd: place.root,
          env,
        })
        return stdout
      }
      const all = blocks(document)
      const [make = '', ...here] = all.filter((block) => !NOT_HERE.test(block))
      expect(all.filter((block) => block.includes('mortise serve'))).toHaveLength(1)
      expect(make).toContain('mortise init')
      expect(all[0]).toContain('umask 077')
      expect(here.length + 1).toBeGreaterThanOrEqual(least)

      await shell(make)
      const server = await Server.start(place.data, '--passphrase-file', place.path('passphrase'))
      try {
        const url = `https://localhost:${server.facts.bi.split(':').at(-1) ?? ''}`
        const said = []
        for (const block of here) said.push(await shell(block.replaceAll('https://js.example.com:8443', url)))
        expect(said.join('\n')).toMatch(/^device +ok +70b3d57ed0061a01 is known under 70b3d57ed0000001/m)
      } finally {
        await server.stop()
      }
    },
    DOCUMENT_TIMEOUT_MS,
  )

  test('the quick starts name every file of their kit as it is', () => {
    const [chirpStack, stack] = ['quickstart-chirpstack.md', 'quickstart-the-things-stack.md'].map((name) =>
      readFileSync(fileURLToPath(new URL(name, DOCS)), 'utf8'),
    )
    expect(chirpStack).toContain('kit/js-example-com.toml kit/js-example-com ')
    expect(stack).toContain('cp -r kit/interop config/stack/')
  })
})
