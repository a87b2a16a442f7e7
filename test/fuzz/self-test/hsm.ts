import { describe, expect, test } from 'vitest'
import { FRAME } from '../../../packages/hsm/src/contract/frames.ts'
import { CODES, checkFrame, checkJoin, checkRelease, settle } from '../hsm/check-answer.ts'
import { prefixed } from '../hsm/cursor.ts'
import { expectJoin, expectRelease } from '../hsm/expect.ts'
import { type Frame, FrameReader, MalformedFrameError } from '../hsm/frames.ts'
import { goldenDevices, goldenFrames, goldenKeks, goldenSession, storageKeys } from '../hsm/golden.ts'
import { KnownRecords } from '../hsm/known-records.ts'
import { flipBit } from '../mutate-bytes.ts'
import { Random } from '../random.ts'
import { SecretScanner } from '../secret-scanner.ts'
import { objection } from './objection.ts'

/** The golden frames are what an honest trust boundary answers; each is made wrong in one way. */
export function describeHsmOracle(): void {
  describe('the oracle of the trust boundary', () => {
    const records = new KnownRecords([...goldenDevices(), ...goldenKeks(), goldenSession()])
    const devices = goldenDevices().map(({ device }) => device)
    const [asKek] = goldenKeks().filter(({ kind }) => kind === 'as')
    const secrets = new Map([
      ...storageKeys(),
      ...devices.map(({ macVersion, appKey }) => [`AppKey ${macVersion}`, appKey] as const),
    ])
    const scanner = new SecretScanner(secrets)
    const golden = (name: string): Frame => {
      const [frame] = new FrameReader().push(goldenFrames().get(name) ?? Buffer.alloc(0))
      if (frame === undefined) throw new Error(`no golden frame ${name}`)
      return frame
    }
    const command = golden('answerJoin').payload
    const answer = golden('joinAnswered')
    const expectedJoin = () => {
      const expected = expectJoin(records, command)
      if (expected === 'malformed' || expected === 'refused') throw new Error(expected)
      return expected
    }
    const without = (payload: Buffer): Frame => ({ ...answer, payload })

    test('takes the golden answers', () => {
      expect(checkFrame(scanner, answer)).toBe('accepted')
      expect(objection(() => checkJoin(answer, expectedJoin()))).toBe('none')
      const release = expectRelease(records, golden('releaseAppSKey').payload, undefined)
      if (release === 'malformed' || release === 'refused') throw new Error(release)
      expect(objection(() => checkRelease(golden('appSKeyReleased'), release))).toBe('none')
    })

    test('a join or a release that should not be', () => {
      const flipped = flipBit(new Random(1), command)
      const expected = expectJoin(records, flipped)
      expect(['malformed', 'refused']).toContain(expected)
      expect(objection(() => settle(expected, 'accepted', CODES.join))).toBe('false_success')
      expect(
        objection(() => settle(expected, expected === 'malformed' ? 'frame_malformed' : 'mic_mismatch', CODES.join)),
      ).toBe('none')
      expect(objection(() => settle('refused', 'busy', CODES.join))).toBe('code')
      expect(objection(() => settle(expectedJoin(), 'mic_mismatch', CODES.join))).toBe('false_refusal')
      const [, device] = goldenDevices()
      const strange = Buffer.concat([device?.bytes, goldenSession().bytes, asKek?.bytes].map(prefixed))
      expect(expectRelease(records, strange, undefined)).not.toBe('refused')
      const [wrong] = goldenDevices()
      const foreign = Buffer.concat([wrong?.bytes, goldenSession().bytes, asKek?.bytes].map(prefixed))
      expect(expectRelease(records, foreign, undefined)).toBe('refused')
    })

    test('every bit of the keys and of the join-accept in an answer', () => {
      const keysEnd = answer.payload.indexOf(Buffer.from('MORT')) - 4 - 8
      for (let at = 4; at < keysEnd; at++) {
        const changed = Buffer.from(answer.payload)
        changed.writeUInt8(changed.readUInt8(at) ^ 1, at)
        expect(
          objection(() => checkJoin(without(changed), expectedJoin())),
          `byte ${at}`,
        ).not.toBe('none')
      }
    })

    test('a root key, a storage key or the AppSKey in an answer', () => {
      for (const key of secrets.values()) {
        const planted = without(Buffer.concat([answer.payload, key]))
        expect(objection(() => checkFrame(scanner, planted))).toBe('secret_in_answer')
        const detail = {
          type: FRAME.refused,
          id: 1,
          payload: Buffer.concat([Buffer.of(9), prefixed(Buffer.from(key.toString('hex')))]),
        }
        expect(objection(() => checkFrame(scanner, detail))).toBe('secret_in_answer')
      }
      const inClear = Buffer.concat([
        answer.payload.subarray(0, -60),
        goldenSession().appSKey,
        answer.payload.subarray(-44),
      ])
      expect(objection(() => checkJoin(without(inClear), expectedJoin()))).not.toBe('none')
    })

    test('a refusal with a code that nobody knows, from the inside, or with its inside', () => {
      const refusal = (number: number, detail: string): Frame => {
        return {
          type: FRAME.refused,
          id: 1,
          payload: Buffer.concat([Buffer.of(number), prefixed(Buffer.from(detail))]),
        }
      }
      expect(checkFrame(scanner, refusal(16, 'a detail'))).toBe('mic_mismatch')
      expect(objection(() => checkFrame(scanner, refusal(200, '')))).toBe('unknown_code')
      expect(objection(() => checkFrame(scanner, refusal(4, 'broken')))).toBe('token_failed')
      expect(objection(() => checkFrame(scanner, refusal(16, 'unexpected failure')))).toBe('inside_shown')
      expect(objection(() => checkFrame(scanner, { ...refusal(16, ''), payload: Buffer.alloc(2) }))).toBe('refusal')
      expect(objection(() => checkFrame(scanner, { ...answer, type: FRAME.answerJoin }))).toBe('frame_type')
    })

    test.each([
      ['a length below the header', '0000000501020000'],
      ['a length above the limit', '00400001010200000001'],
      ['another version', '00000006020200000001'],
    ])('what is no frame: %s', (_name, hex) => {
      expect(() => new FrameReader().push(Buffer.from(hex, 'hex'))).toThrow(MalformedFrameError)
      expect(new FrameReader().push(Buffer.from('00000006010200000001', 'hex'))).toHaveLength(1)
    })
  })
}
