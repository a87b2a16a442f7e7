import { execFile } from 'node:child_process'
import { describe, expect, test } from 'vitest'
import { HsmError } from '../../src/errors.ts'
import { tellable, withoutValues } from '../../src/process/last-words.ts'

const SECRET = '0f1e2d3c4b5a69788796a5b4c3d2e1f0'
const LAST_WORDS = new URL('../../src/process/last-words.ts', import.meta.url).href

/** What a real process writes that ends by an error nobody foresaw. */
function lastWords(failure: string, quiet: boolean): Promise<{ code: number; stderr: string }> {
  const begin = quiet ? `import { sayLastWords } from '${LAST_WORDS}'\nsayLastWords()\n` : ''
  // The value comes from the environment, so that it stands in no line of the source.
  const script = `${begin}const secret = process.env.SECRET\nfunction work() { ${failure} }\nsetTimeout(work)`
  const options = { env: { ...process.env, SECRET } }
  return new Promise((resolve) => {
    execFile(process.execPath, ['--input-type=module', '-e', script], options, (error, _stdout, stderr) => {
      resolve({ code: Number(error?.code), stderr })
    })
  })
}

describe('an error that nobody foresaw', () => {
  test.each([
    ['a message with a value', 'throw new RangeError(`size of ${secret}`)', 'RangeError'],
    ['a value that looks like a frame', 'throw new Error(`x\\n    at ${secret}`)', 'Error'],
    ['a member', 'throw Object.assign(new Error("x"), { secret, code: "E_ONE" })', 'Error E_ONE'],
    ['a cause', 'throw new Error("x", { cause: new Error(secret) })', 'Error'],
    ['a code with a value', 'throw Object.assign(new Error("x"), { code: `${secret}!` })', 'Error'],
    ['a parser that quotes', 'JSON.parse(`{"key": ${secret}`)', 'SyntaxError'],
    ['what is no error', 'throw secret', 'something was thrown'],
    ['a promise', 'Promise.reject(new Error(secret))', 'Error'],
  ])('%s: tells its class and where it was, and no value; Node would tell it', async (_name, failure, told) => {
    const [quiet, plain] = await Promise.all([lastWords(failure, true), lastWords(failure, false)])
    expect(quiet.code).toBe(1)
    expect(quiet.stderr).toContain(`mortise hsm: error: unexpected failure: ${told}`)
    expect(quiet.stderr).not.toContain(SECRET.slice(0, 10))
    expect(plain.stderr).toContain(SECRET.slice(0, 10))
  })

  test('keeps its frames', () => {
    expect(withoutValues(new TypeError(SECRET))).toMatch(/^TypeError\n {4}at .*last-words\.test\.ts/)
  })

  test('a refusal and an error of the system are told as they are', () => {
    const refusal = new HsmError('store_damaged', 'truncated')
    expect(tellable(refusal)).toBe(refusal)
    const system = Object.assign(new Error('EACCES: permission denied, open x'), { syscall: 'open', code: 'EACCES' })
    expect(tellable(system)).toBe(system)
    expect(tellable(new Error(SECRET)).message).toMatch(/^unexpected failure: Error\n {4}at /)
    expect(tellable(new Error(SECRET)).message).not.toContain(SECRET)
  })
})
