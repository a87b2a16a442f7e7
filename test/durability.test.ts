import { beforeAll, describe, expect, test } from 'vitest'
import { Installation } from './support/installation.ts'
import { enrolDevices, JoinLine } from './support/join-line.ts'
import { addPeer, AS_ID, NET_ID, setKek } from './support/parties.ts'
import { type SystemCall, TracedServer } from './support/trace.ts'
import { earlyJoinAnswers, earlyOrderAnswers, orderAnswersOf, type ReceivedAnswer } from './support/trace-checks.ts'

/**
 * Nothing acknowledged is ever lost, seen in the system calls of a real server, its HSM process and its workers: an answer
 * is written to its socket after the disk has said that it has what was answered.
 */

const LINES = 6
const JOINS = 8
/** Two to begin with, which wait for the first start, and two while the server runs. */
const ORDERS = 2

describe('a traced server', () => {
  let calls: readonly SystemCall[]
  /** Of one connection after the other, and of several at the same time. */
  const answers: ReceivedAnswer[] = []

  beforeAll(async () => {
    await using installation = await Installation.create()
    const directory = await addPeer(installation, 'ns', NET_ID)
    await setKek(installation, 'as', AS_ID, 'owner-1')
    const devices = await enrolDevices(installation, 1 + LINES)
    await using server = await TracedServer.start(installation)
    for (let order = 0; order < ORDERS; order++) await enrolDevices(installation, 1)
    using cleanup = new DisposableStack()
    const lines = devices.map((device) => cleanup.use(new JoinLine(server.biUrl, directory, device)))
    answers.push(...(await joinAgainAndAgain(lines[0]!)))
    answers.push(...(await Promise.all(lines.slice(1).map(joinAgainAndAgain))).flat())
    calls = await server.stop()
  }, 180_000)

  test('answers no join before its commit is on the disk', () => {
    expect(answers).toHaveLength((1 + LINES) * JOINS)
    expect(earlyJoinAnswers(calls, answers)).toEqual([])
  })

  test.each([
    ['are never synced', isNoSync, 'was never synced'],
    ['are not written', isNoLogWrite, 'was never written'],
  ])('would be seen where commits %s', (_name, happened, breach) => {
    const breaches = earlyJoinAnswers(calls.filter(happened), answers)
    expect(breaches).toEqual(answers.map(({ sessionKeyId }) => `session ${sessionKeyId}: ${breach}`))
  })

  test('would be seen where the disk answers after the server', () => {
    const breaches = earlyJoinAnswers(calls.map(slowSync), answers)
    expect(breaches).toHaveLength(answers.length)
    expect(breaches[0]).toContain('was answered before it was synced')
  })

  test('would be seen where a sync fails', () => {
    const breaches = earlyJoinAnswers(calls.map(failedSync), answers)
    expect(breaches).toHaveLength(answers.length)
  })

  test('answers no order before the sealed store is on the disk', () => {
    // The peer, the KEK and the devices were waiting.
    expect(orderAnswersOf(calls)).toHaveLength(3 + ORDERS)
    expect(earlyOrderAnswers(calls)).toEqual([])
  })

  test.each([
    ['the file is not synced', (call: SystemCall) => !(isSync(call) && call.target.endsWith('/hsm/store.new'))],
    ['the directory is not synced', (call: SystemCall) => !(isSync(call) && call.target.endsWith('/hsm'))],
    ['the file is written where it lies', ({ name }: SystemCall) => name !== 'rename'],
  ])('would be seen where %s', (_name, happened) => {
    expect(earlyOrderAnswers(calls.filter(happened))).toHaveLength(3 + ORDERS)
  })

  test('would be seen where an answer to an order does not wait', () => {
    const early = calls.map((call) => (orderAnswersOf([call]).length > 0 ? { ...call, begin: call.begin - 1e6 } : call))
    expect(earlyOrderAnswers(early)).toHaveLength(3 + ORDERS)
  })
})

const isSync = ({ name }: SystemCall): boolean => name === 'fsync' || name === 'fdatasync'
const isLog = ({ target }: SystemCall): boolean => target.endsWith('.db-wal')
const isNoSync = (call: SystemCall): boolean => !(isSync(call) && isLog(call))
const isNoLogWrite = (call: SystemCall): boolean => !(call.name === 'pwrite64' && isLog(call))
const slowSync = (call: SystemCall): SystemCall => (isNoSync(call) ? call : { ...call, end: call.end + 1e6 })
const failedSync = (call: SystemCall): SystemCall => (isNoSync(call) ? call : { ...call, result: -1 })

async function joinAgainAndAgain(line: JoinLine): Promise<ReceivedAnswer[]> {
  const answers: ReceivedAnswer[] = []
  for (let index = 0; index < JOINS; index++) {
    const { result, sessionKeyId } = await line.join()
    if (result !== 'Success' || sessionKeyId === undefined) throw new Error(`a join was refused: ${result}`)
    answers.push({ sessionKeyId, port: line.port, index })
  }
  return answers
}
