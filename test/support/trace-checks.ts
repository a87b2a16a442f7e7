import { FRAME, PROTOCOL_VERSION } from '../../packages/hsm/src/contract/frames.ts'
import { dataOf, type SystemCall } from './trace.ts'

/** What a trace must show: nothing is answered that is not on the disk. Each check gives one line for every breach. */

/** A JoinAns as its receiver knows it. */
export interface ReceivedAnswer {
  /** Hex: stands in the JoinAns, and in the page of the database that has the join. */
  readonly sessionKeyId: string
  /** Local port of the connection that it came over, and how many came over it before. */
  readonly port: number
  readonly index: number
}

const WAL = /\.db-wal$/
const SYNC = new Set(['fsync', 'fdatasync'])
const SOCKET_WRITE = new Set(['write', 'writev', 'sendmsg', 'sendto'])
/** The end of a TLS connection is a record of 24 bytes, a JoinAns is some hundreds. */
const MIN_ANSWER_BYTES = 100

/** Answers that left before a sync of the log that began after the last write of their transaction. */
export function earlyJoinAnswers(calls: readonly SystemCall[], answers: readonly ReceivedAnswer[]): string[] {
  const commits = commitsOf(calls)
  const syncs = calls.filter(({ name, target, result }) => SYNC.has(name) && WAL.test(target) && result === 0)
  return answers.flatMap((answer) => {
    const name = `session ${answer.sessionKeyId}`
    const left = socketWriteOf(calls, answer, answers)
    const commit = commits.find(({ pages }) => pages.includes(Buffer.from(answer.sessionKeyId, 'hex')))
    if (left === undefined) return [`${name}: no answer was seen`]
    if (commit === undefined) return [`${name}: was never written`]
    const sync = syncs.find(({ begin }) => begin > commit.end)
    if (sync === undefined) return [`${name}: was never synced`]
    return left.begin > sync.end ? [] : [`${name}: was answered before it was synced`]
  })
}

/** The write of an answer: answers are the last that go over a connection. */
function socketWriteOf(
  calls: readonly SystemCall[],
  { port, index }: ReceivedAnswer,
  answers: readonly ReceivedAnswer[],
): SystemCall | undefined {
  const peer = new RegExp(`^TCP:\\[.*->127\\.0\\.0\\.1:${port}\\]$`)
  const count = answers.filter((answer) => answer.port === port).length
  return calls
    .filter(({ name, target, result }) => SOCKET_WRITE.has(name) && peer.test(target) && result >= MIN_ANSWER_BYTES)
    .at(index - count)
}

interface Commit {
  /** Everything that one transaction wrote to the log. */
  readonly pages: Buffer
  readonly end: number
}

/**
 * Transactions in the order of the log. A frame is a header of 24 bytes and a page; the last frame of a transaction has
 * the size of the database in bytes 4 to 7 of its header, all others have zeros (https://www.sqlite.org/walformat.html).
 */
function commitsOf(calls: readonly SystemCall[]): Commit[] {
  const commits: Commit[] = []
  let pages: Buffer[] = []
  let last = false
  for (const call of calls) {
    if (call.name !== 'pwrite64' || !WAL.test(call.target)) continue
    const data = dataOf(call)
    if (data.length === 24) last = data.readUInt32BE(4) !== 0
    if (data.length <= 32) continue
    pages.push(data)
    if (!last) continue
    commits.push({ pages: Buffer.concat(pages), end: call.end })
    pages = []
  }
  return commits
}

/**
 * Answers to orders that left the HSM process before the sealed store was replaced: written beside, synced, renamed, and
 * the directory synced, all since the answer before.
 */
export function earlyOrderAnswers(calls: readonly SystemCall[]): string[] {
  const replaced = replacementsOf(calls)
  let before = -1
  return orderAnswersOf(calls).flatMap((answer, index) => {
    const done = replaced.some(({ begin, end }) => begin > before && end < answer.begin)
    before = answer.begin
    return done ? [] : [`answer ${index + 1} to an order: the sealed store was not durable`]
  })
}

/** Writes of workers to the server that have an answer to an order in them: not every user is told which socket it is. */
export function orderAnswersOf(calls: readonly SystemCall[]): SystemCall[] {
  return calls.filter(
    (call) =>
      SOCKET_WRITE.has(call.name) &&
      !call.target.startsWith('TCP') &&
      frameTypes(dataOf(call)).includes(FRAME.orderApplied),
  )
}

function frameTypes(bytes: Buffer): number[] {
  const types: number[] = []
  for (let offset = 0; offset + 6 <= bytes.length; offset += 4 + bytes.readUInt32BE(offset)) {
    // What has no version is no frame: supervisor and workers speak otherwise among themselves.
    if (bytes.readUInt8(offset + 4) !== PROTOCOL_VERSION) return []
    types.push(bytes.readUInt8(offset + 5))
  }
  return types
}

/** From the opening of the new file to the return of the directory's sync. */
function replacementsOf(calls: readonly SystemCall[]): { readonly begin: number; readonly end: number }[] {
  const opened = calls.filter(
    ({ name, text, result }) => name === 'openat' && text.includes('/hsm/store.new"') && result >= 0,
  )
  return opened.flatMap(({ pid, begin }) => {
    const next = stepsAfter(calls.filter((call) => call.pid === pid))
    const wrote = next(begin, ({ name, target }) => name === 'write' && target.endsWith('/hsm/store.new'))
    const synced = wrote && next(wrote.end, ({ name, target }) => SYNC.has(name) && target.endsWith('/hsm/store.new'))
    const renamed = synced && next(synced.end, ({ name, text }) => name === 'rename' && text.endsWith('/hsm/store"'))
    const done = renamed && next(renamed.end, ({ name, target }) => SYNC.has(name) && target.endsWith('/hsm'))
    return done ? [{ begin, end: done.end }] : []
  })
}

function stepsAfter(calls: readonly SystemCall[]) {
  return (after: number, matches: (call: SystemCall) => boolean): SystemCall | undefined =>
    calls.find((call) => call.begin > after && call.result >= 0 && matches(call))
}
