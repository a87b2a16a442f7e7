import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { BACKENDS } from '../support/installation.ts'
import { JOIN_REQ_ANSWERED_OTHERWISE } from './answered-otherwise.ts'
import {
  expectHeader,
  expectSessionKeyId,
  isWrapped,
  type KekRing,
  keyNamesOf,
  openKey,
  type ReceivedAnswer,
} from './answers.ts'
import { type CaseKek, CaseServer } from './case-server.ts'
import { expectDeviceAgrees } from './device-agrees.ts'
import { joinReqCase, type JoinReqCase, peersOf, roundsOf } from './join-req-case.ts'
import { NonceSeeder } from './nonces.ts'
import { verifiedJoinReqCases } from './published-cases.ts'

/** Every verified JoinReq case against a running server, on every back end. */
const CASES = verifiedJoinReqCases().map(joinReqCase)
const START_TIMEOUT_MS = 120_000

/** Every label has one value, in this run too, except where a case with the same label publishes none. */
const KEKS = new Map<string, CaseKek>()
for (const kek of CASES.flatMap(({ nsKek, asKek }) => [nsKek, asKek]))
  if (kek !== undefined && !KEKS.has(kek.label)) KEKS.set(kek.label, kek)
const RING: KekRing = new Map(Array.from(KEKS, ([label, { key }]) => [label, key]))

test('the table of what is answered otherwise names published cases only', () => {
  const ids = new Set(CASES.map(({ id }) => id))
  expect(Object.keys(JOIN_REQ_ANSWERED_OTHERWISE).filter((id) => !ids.has(id))).toEqual([])
  expect(ids.size).toBe(CASES.length)
  expect(CASES.length).toBeGreaterThanOrEqual(42)
})

describe.each(BACKENDS)('verified JoinReq cases on %s', (backend) => {
  const passed: JoinReqCase[] = []
  const keksSet = new Set<string>()
  const cleanup = new AsyncDisposableStack()
  let server: CaseServer
  let nonces: NonceSeeder

  beforeAll(async () => {
    server = cleanup.use(await CaseServer.start(backend, peersOf(CASES)))
    nonces = cleanup.use(new NonceSeeder(server.database))
  }, START_TIMEOUT_MS)

  afterAll(async () => {
    await cleanup.disposeAsync()
    console.log(reportOf(backend, passed))
  })

  async function enrol(round: readonly JoinReqCase[]): Promise<void> {
    const keks = round.flatMap(({ nsKek, asKek }) => [nsKek, asKek]).filter((kek) => kek !== undefined)
    const newKeks = new Map(keks.map((kek) => [nameOf(kek), { ...kek, key: Buffer.from(RING.get(kek.label)!) }]))
    for (const name of keksSet) newKeks.delete(name)
    await server.enrol(
      round.map(({ device }) => device),
      [...newKeks.values()],
    )
    for (const name of newKeks.keys()) keksSet.add(name)
    for (const { device, nonces: seed } of round) nonces.seed(device, seed)
  }

  describe.each(roundsOf(CASES).map((round, index) => ({ round, number: index + 1 })))('round $number', ({ round }) => {
    beforeAll(() => enrol(round))

    test.each(round)('$id', async (one) => {
      const before = nonces.read(one.device)
      const answer = await ask(one)
      if (await expectAnswer(one, answer, before.lastJoinNonce + 1)) {
        expect(nonces.read(one.device).lastJoinNonce).toBe(before.lastJoinNonce + 1)
        await expectRepetition(one, answer)
      } else {
        // A refusal writes nothing: no nonce is burnt.
        expect(nonces.read(one.device)).toEqual(before)
      }
      passed.push(one)
    })
  })

  async function ask({ request, caller, published }: JoinReqCase, change: object = {}): Promise<ReceivedAnswer> {
    const { status, text } = await server.post(caller, `${JSON.stringify({ ...request, ...change })}\n`)
    expect(status).toBe(200)
    const answer = JSON.parse(text) as ReceivedAnswer
    expectHeader(answer, request, published.expected)
    return answer
  }

  /** The same again is a delivery that came twice, and gets the same answer; with another DevAddr it is a replay. */
  async function expectRepetition(one: JoinReqCase, first: ReceivedAnswer): Promise<void> {
    expect(await ask(one)).toEqual(first)
    const { Result } = await ask(one, { DevAddr: '0badcafe' })
    expect(Result.ResultCode).toBe('JoinReqFailed')
  }
})

/** Whether the answer is a join; that it is the right one is asserted. */
async function expectAnswer(one: JoinReqCase, answer: ReceivedAnswer, nextJoinNonce: number): Promise<boolean> {
  const { published, otherwise, joining } = one
  const { instead } = otherwise ?? {}
  if (instead !== undefined && 'refuses' in instead) return expectRefusal(answer, instead.refuses)
  if (instead === undefined) {
    const { ResultCode } = published.expected.Result!
    const excluded = /^anything but (\w+)$/.exec(ResultCode)?.[1]
    if (excluded !== undefined) expect(answer.Result.ResultCode).not.toBe(excluded)
    else if (ResultCode !== 'Success') return expectRefusal(answer, ResultCode)
  }
  expect(answer.Result).toEqual({ ResultCode: 'Success' })
  expectSessionKeyId(answer)
  if (instead === undefined && one.phyPayload !== undefined) {
    expectPublishedKeys(one, answer)
    expect(published.crypto?.joinNonce).toBe(nextJoinNonce)
    return true
  }
  const { joinNonce } = await expectDeviceAgrees(joining, answer, RING)
  expect(joinNonce).toBe(nextJoinNonce)
  expectLabels(one, answer)
  const spec = published.specExpected?.['ifOptNegRules_whatTheDeviceDoes']
  if (spec !== undefined) expect(inClear(answer)).toEqual(spec)
  return true
}

function expectRefusal(answer: ReceivedAnswer, result: string): false {
  expect(answer.Result.ResultCode).toBe(result)
  expect(answer.PHYPayload).toBeUndefined()
  expect(keyNamesOf(answer)).toEqual([])
  return false
}

/** Byte for byte, apart from an AppSKey that is published in clear: here it comes wrapped. */
function expectPublishedKeys(one: JoinReqCase, answer: ReceivedAnswer): void {
  const { expected } = one.published
  expect(answer.PHYPayload?.toLowerCase()).toBe(one.phyPayload)
  expect(keyNamesOf(answer)).toEqual(keyNamesOf(expected))
  for (const name of keyNamesOf(expected)) {
    expect(openKey(answer[name]!, RING)).toBe(openKey(expected[name]!, RING))
    if (isWrapped(expected[name]!)) expect(answer[name]!.AESKey).toBe(expected[name]!.AESKey.toLowerCase())
  }
  expectLabels(one, answer)
}

/** Network keys are wrapped exactly where the case has them wrapped, the AppSKey always, each under its recipient's KEK. */
function expectLabels({ nsKek, asKek }: JoinReqCase, answer: ReceivedAnswer): void {
  for (const name of keyNamesOf(answer))
    expect(answer[name]!.KEKLabel).toBe((name === 'AppSKey' ? asKek : nsKek)?.label)
}

function inClear(answer: ReceivedAnswer): Record<string, string | undefined> {
  const keys = keyNamesOf(answer).map((name) => [name, openKey(answer[name]!, RING)])
  return { PHYPayload: answer.PHYPayload, ...(Object.fromEntries(keys) as Record<string, string>) }
}

function nameOf({ kind, id, label }: CaseKek): string {
  return `${kind} ${id} ${label}`
}

function reportOf(backend: string, passed: readonly JoinReqCase[]): string {
  const otherwise = passed.filter((one) => one.otherwise !== undefined)
  const repeats = passed.filter(({ published }) => published.repeat?.includes('JoinReqFailed'))
  const lines = [
    `conformance-cases.json, JoinReq on ${backend}: ${passed.length} of ${CASES.length} verified cases passed: ` +
      `${passed.length - otherwise.length} as published, ${otherwise.length} answered otherwise, 0 excluded`,
    ...otherwise.map((one) => `  ${one.id}: ${one.otherwise?.reason ?? ''}`),
    `  and the same request once more, refused in ${repeats.length} cases, gets the same answer: it came twice`,
  ]
  return lines.join('\n')
}
