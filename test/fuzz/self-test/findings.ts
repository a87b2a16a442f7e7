import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { readKek } from '../../../packages/cli/src/commands/kek.ts'
import { readConfigFile } from '../../../packages/cli/src/config-file.ts'
import { parseDeviceLine } from '../../../packages/cli/src/devices/device-line.ts'
import { readKeysFile } from '../../../packages/cli/src/devices/root-keys.ts'
import { highestSigned } from '../../../packages/cli/src/sequence-file.ts'

const KEY = '8f0e1d2c3b4a59687786950a1b2c3d4e'

/** What the fuzzer has found, with the accepted twin of each. */
export function describeFindings(): void {
  describe('once found by the fuzzer', () => {
    let directory: string
    beforeAll(() => {
      directory = mkdtempSync(join(tmpdir(), 'mortise-fuzz-'))
    })
    afterAll(() => {
      rmSync(directory, { recursive: true })
    })
    const file = (content: string): string => {
      const path = join(directory, 'file')
      writeFileSync(path, content, { mode: 0o600 })
      return path
    }
    const codeOf = (read: () => unknown): unknown => {
      try {
        return read()
      } catch (error) {
        return error instanceof Error && 'code' in error ? error.code : error
      }
    }

    test('a KEK file of many megabytes of hex exhausted the stack', () => {
      expect(codeOf(() => readKek(file('a5'.repeat(10_000_000))))).toBe('key_file_malformed')
      expect(codeOf(() => readKek(file(`${KEY}\n`)).size)).toBe(16)
    })

    test.each(['', '\n', '0x10', '1e3', '-1', '1.5'])('a last-sequence of %j was taken for a number', (content) => {
      expect(codeOf(() => highestSigned(file(content)))).toBe('sequence_file_malformed')
      expect(codeOf(() => highestSigned(file('17\n')))).toBe(17)
    })

    test('a key in the place of a member’s name was told in the message', () => {
      const messageOf = (read: () => unknown): string => {
        try {
          read()
        } catch (error) {
          return error instanceof Error ? error.message : ''
        }
        return 'accepted'
      }
      expect(messageOf(() => parseDeviceLine(JSON.stringify({ [KEY]: KEY })))).not.toContain(KEY)
      expect(messageOf(() => readKeysFile(file(JSON.stringify({ [KEY]: KEY })), '1.0.3'))).not.toContain(KEY)
      expect(messageOf(() => readKeysFile(file(JSON.stringify({ appkey: KEY })), '1.0.3'))).toContain('"appkey"')
      expect(messageOf(() => readKeysFile(file(JSON.stringify({ appKey: KEY })), '1.0.3'))).toBe('accepted')
    })

    test.each(['!!set workers: 2', 'workers: !odd 2', '*a: 1', '? [a]\n: 1'])(
      'a configuration that YAML only warns of was accepted: %j',
      (content) => {
        expect(codeOf(() => readConfigFile(file(`biListen: 127.0.0.1:1\n${content}\n`)))).toBe('config_invalid')
        expect(codeOf(() => readConfigFile(file('biListen: 127.0.0.1:1\nworkers: 2\n')))).toMatchObject({ workers: 2 })
      },
    )
  })
}
