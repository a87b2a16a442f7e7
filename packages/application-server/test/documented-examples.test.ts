import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, onTestFinished, test } from 'vitest'

const PACKAGE = fileURLToPath(new URL('..', import.meta.url))
const DOCUMENT = readFileSync(new URL('../../../docs/application-server.md', import.meta.url), 'utf8')

/** Each program of the document with what it is said to print. */
const EXAMPLES = Array.from(
  DOCUMENT.matchAll(/^## (.+)\n[^#]*?```ts\n([\s\S]+?)```\n\nprints\n\n```text\n([\s\S]+?)```/gm),
  ([, heading = '', program = '', output = '']) => ({ heading, program, output }),
)

/** The program as it stands, but for the place of its files. */
function run(program: string): { readonly output: string; readonly errors: string } {
  const directory = mkdtempSync(join(tmpdir(), 'mortise-example-'))
  onTestFinished(() => {
    rmSync(directory, { recursive: true })
  })
  const input = program.replace("'sessions.db'", JSON.stringify(join(directory, 'sessions.db')))
  const { stdout, stderr } = spawnSync(process.execPath, ['--input-type=module-typescript', '-'], {
    cwd: PACKAGE,
    input,
    encoding: 'utf8',
  })
  return { output: stdout, errors: stderr }
}

describe('docs/application-server.md', () => {
  test('has a test of each of its programs', () => {
    expect(EXAMPLES.length).toBeGreaterThan(0)
    expect(EXAMPLES).toHaveLength(DOCUMENT.match(/^```ts$/gm)?.length ?? 0)
  })

  test.each(EXAMPLES)('$heading: the program prints what is said', ({ program, output }) => {
    expect(run(program)).toEqual({ output, errors: '' })
  })

  test('a program that fails is seen to', () => {
    expect(run('throw new Error("planted")').errors).toContain('planted')
  })
})
