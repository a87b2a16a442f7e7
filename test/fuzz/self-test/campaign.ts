import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'
import { CaseFailure, describeFailure, type Fuzzer, runCampaign } from '../campaign.ts'
import { OracleFailure } from '../failure.ts'
import { compareHealth, type Health, type ProcessKind, takeHealth, type Watched } from '../health.ts'
import { mutateBytes } from '../mutate-bytes.ts'
import { Random } from '../random.ts'
import { SecretScanner } from '../secret-scanner.ts'
import { checkOutput } from '../targets.ts'
import { objection } from './objection.ts'

const MEGABYTE = 1024 * 1024
const SCRIPT = fileURLToPath(new URL('../../../scripts/fuzz.ts', import.meta.url))

/** The frame around the cases: failing ones are told, hanging ones end, and what becomes of the processes is seen. */
export function describeCampaign(): void {
  describe('a campaign', () => {
    const fuzzer = (runCase: Fuzzer['runCase']): Fuzzer => ({ target: 'bi', seed: 5, inFlight: 4, runCase })

    test('tells the command and the input of a case that fails, and runs all where none does', async () => {
      const failing = fuzzer((index) => {
        const fault = new OracleFailure('false_success', 'planted')
        return index === 7
          ? Promise.reject(new CaseFailure(failing, 7, [Buffer.of(1, 0xab)], fault))
          : Promise.resolve()
      })
      const [failure, ...more] = await runCampaign(failing, { first: 0, count: 20 })
      expect(more).toEqual([])
      if (failure === undefined) throw new Error('no failure')
      expect(describeFailure(failure).split('\n')).toEqual([
        'npm run fuzz -- --target bi --seed 5 --case 7',
        '  false_success: planted',
        '  input 01ab',
      ])
      const seen: number[] = []
      const fine = fuzzer((index) => Promise.resolve(void seen.push(index)))
      expect(await runCampaign(fine, { first: 10, count: 20 })).toEqual([])
      expect(seen.sort((one, other) => one - other)).toEqual(Array.from({ length: 20 }, (_, at) => 10 + at))
    })

    test.each<[string, string[], number, RegExp]>([
      ['help', ['--help'], 0, /--case N.*Examples:/s],
      ['a case by itself', ['--target', 'files', '--seed', '5', '--case', '12'], 0, /seed 5, case 12\n.*no objection/s],
      ['an unknown target', ['--target', 'moon'], 2, /--target must be one of/],
      ['a case of everything', ['--case', '1'], 2, /--case needs one --target/],
      ['more cases than there are', ['--target', 'bi', '--count', '9000000000'], 2, /--count must be a number/],
      ['an unknown option', ['--depth', '3'], 2, /--depth/],
    ])('of the command: %s', async (_name, options, code, told) => {
      const child = spawn(process.execPath, [SCRIPT, ...options], { stdio: ['ignore', 'pipe', 'pipe'] })
      const closed = once(child, 'close')
      const [output, errors] = await Promise.all([text(child.stdout), text(child.stderr), closed])
      expect([child.exitCode, output + errors]).toEqual([code, expect.stringMatching(told)])
    })

    test('ends a case that hangs', async () => {
      const hanging = fuzzer((index) => (index === 3 ? new Promise(() => undefined) : Promise.resolve()))
      const [failure] = await runCampaign(hanging, { first: 0, count: 10, timeoutMs: 100 })
      expect([failure?.index, failure?.code]).toEqual([3, 'hung'])
    })

    test('gives a case the same numbers every time, and others to others', () => {
      const numbers = (...seeds: number[]): number[] => {
        const random = new Random(...seeds)
        return Array.from({ length: 50 }, () => random.uint32())
      }
      expect(numbers(1, 2)).toEqual(numbers(1, 2))
      expect(new Set([...numbers(1, 2), ...numbers(1, 3), ...numbers(2, 2), ...numbers(2, 1)]).size).toBeGreaterThan(
        190,
      )
      const mutated = (index: number): string =>
        mutateBytes(new Random(9, index), Buffer.from('seed'.repeat(9))).toString('hex')
      expect(mutated(4)).toBe(mutated(4))
      expect(new Set(Array.from({ length: 40 }, (_, index) => mutated(index))).size).toBeGreaterThan(30)
    })

    test.each<[ProcessKind, number]>([
      ['server', 128],
      ['supervisor', 32],
      ['worker', 48],
      ['SoftHSM2 worker', 128],
    ])('sees a %s that has grown by more than %d MB', (kind, megabytes) => {
      const sample = (residentBytes: number): Health =>
        new Map([[kind, { pid: 1, kind, residentBytes: residentBytes * MEGABYTE, descriptors: 30 }]])
      const compare = (grown: number): string =>
        objection(() => {
          compareHealth(sample(100), sample(150), sample(150 + grown))
        })
      expect([compare(megabytes - 1), compare(megabytes + 1)]).toEqual(['none', 'memory_grown'])
    })

    test('sees descriptors that have grown, and a process that is another', () => {
      const sample = (descriptors: number, pid = 1): Health =>
        new Map([['server', { pid, kind: 'server', residentBytes: 100 * MEGABYTE, descriptors }]])
      const compare = (after: Health): string =>
        objection(() => {
          compareHealth(sample(30), sample(90), after)
        })
      expect(compare(sample(33))).toBe('none')
      expect(compare(sample(60))).toBe('descriptors_grown')
      expect(compare(sample(33, 2))).toBe('process_replaced')
      expect(compare(new Map())).toBe('process_replaced')
    })

    test('sees a real process that leaks a little in each case, and one that is gone', async () => {
      const leak =
        'process.stdin.on("data", () => { kept.push(Buffer.alloc(20e6, kept.length + 1)); console.log("kept") })'
      const child = spawn(process.execPath, ['-e', `const kept = []; ${leak}; console.log("there")`], {
        stdio: ['pipe', 'pipe', 'inherit'],
      })
      const watched: Watched = new Map([['child', { pid: child.pid ?? 0, kind: 'supervisor' }]])
      await once(child.stdout, 'data')
      const before = takeHealth(watched)
      const found: string[] = []
      for (let leaks = 0; leaks < 3; leaks++) {
        child.stdin.write('\n')
        await once(child.stdout, 'data')
        found.push(
          objection(() => {
            compareHealth(before, before, takeHealth(watched))
          }),
        )
      }
      expect(found).toEqual(['none', 'memory_grown', 'memory_grown'])
      child.kill('SIGKILL')
      await once(child, 'close')
      expect(objection(() => takeHealth(watched))).toBe('process_ended')
    })

    test('sees an unhandled rejection, a restart or a secret in what the processes say', () => {
      const key = new Random(3).bytes(16)
      const scanner = new SecretScanner(new Map([['key', key]]))
      const said = (line: string): string =>
        objection(() => {
          checkOutput(`mortise: HSM: ready\n${line}\n`, scanner)
        })
      expect(said('mortise: refused {"sender":"TypeError: unexpected"}')).toBe('none')
      expect(said('[UnhandledPromiseRejection: boom]')).toBe('inside_failed')
      expect(said('    at serve (listener.ts:1:2)')).toBe('inside_failed')
      expect(said('mortise: the HSM process ended (SIGKILL); starting it again')).toBe('inside_failed')
      expect(said('mortise: a message could not be answered: x')).toBe('inside_failed')
      for (const form of ['hex', 'base64', 'base64url'] as const)
        expect(said(`mortise: refused {"sender":"${key.toString(form)}"}`), form).toBe('secret_in_output')
    })
  })
}
