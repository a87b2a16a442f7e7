import { HsmError } from '@mortise/hsm'
import { describe, expect, test } from 'vitest'
import type { FileKind } from '../files/kinds.ts'
import { HSM_KINDS } from '../files/hsm-kinds.ts'
import { runFileCase } from '../files/run-case.ts'
import { Random } from '../random.ts'
import { SecretScanner } from '../secret-scanner.ts'
import { objectionTo } from './objection.ts'

const KEY = Buffer.from('8f0e1d2c3b4a59687786950a1b2c3d4e', 'hex')
const SEED = Buffer.from('a file')
const DAMAGED = Buffer.from('a damaged file')

/** Readers that behave as none should: the oracle has to object to each. */
export function describeFilesOracle(): void {
  describe('the oracle of the files', () => {
    const scanner = new SecretScanner(new Map([['a key', KEY]]))
    const sound: FileKind = {
      name: 'sound',
      seeds: [SEED],
      mutate: () => DAMAGED,
      read: (bytes) => {
        if (!bytes.equals(SEED)) throw new HsmError('store_damaged')
        return bytes
      },
      refusals: ['HsmError: store_damaged'],
      complaint: (_value, bytes, seed) => (bytes.equals(seed) ? undefined : 'damaged'),
    }
    const run = (change: Partial<FileKind>, random = new Random(1)) =>
      objectionTo(runFileCase(random, [{ ...sound, ...change }], scanner, () => undefined))
    const throwing = (error: Error) => ({
      read: () => {
        throw error
      },
    })

    test('takes a reader that refuses what is damaged', async () => {
      for (let seed = 0; seed < 200; seed++) expect(await run({}, new Random(seed))).toBe('none')
    })

    test('an error of the wrong class, with the wrong code, or no error at all', async () => {
      expect(await run(throwing(new TypeError('cannot read')))).toBe('undocumented_error')
      expect(await run(throwing(new RangeError('stack')))).toBe('undocumented_error')
      expect(await run(throwing(new HsmError('busy')))).toBe('undocumented_error')
      expect(await run({ read: (bytes) => bytes })).toBe('wrong_value')
      expect(await run({ read: (bytes) => Promise.resolve(bytes) })).toBe('wrong_value')
    })

    test('a file that is in order and refused', async () => {
      expect(await run({ mutate: (_random, seed) => seed, ...throwing(new HsmError('store_damaged')) })).toBe(
        'false_refusal',
      )
    })

    test('a secret in a message, and a message without end', async () => {
      const told = throwing(new HsmError('store_damaged', KEY.toString('hex')))
      expect(await run(told)).toBe('secret_in_error')
      expect(await run(throwing(new HsmError('store_damaged', 'x'.repeat(10_000))))).toBe('long_error')
    })

    test('every bit of the sealed files', () => {
      for (const kind of HSM_KINDS.filter(({ name }) => name.startsWith('sealed file, token'))) {
        const [sealed = SEED] = kind.seeds
        for (let bit = 0; bit < 8 * sealed.length; bit++) {
          const flipped = Buffer.from(sealed)
          flipped.writeUInt8(flipped.readUInt8(bit >> 3) ^ (1 << (bit & 7)), bit >> 3)
          expect(() => kind.read(flipped), `bit ${bit}`).toThrow(HsmError)
        }
        expect(() => kind.read(sealed)).not.toThrow()
      }
    })
  })
}
