import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { DeferredAnswers, type DeferredAnswersPort } from '../../src/http/backend-interfaces/deferred-answers.ts'
import { NetworkServer, PeerDirectory } from '../../src/identity/index.ts'
import type { Storage } from '../../src/storage/index.ts'
import { newCertificate, newPeer, temporaryDirectory } from '../storage/fixtures.ts'
import { openOrCreate, until } from '../support/server.ts'

const ASYNC_URL = 'https://ns.example/bi'
/** As in deferred-answers.ts. */
const MAX_PENDING = 4096
const ANSWER_WITHIN_MS = 10_000

const [peer, otherPeer] = ['000013', '600001'].map(networkServer) as [NetworkServer, NetworkServer]

function networkServer(id: string): NetworkServer {
  const certificates = [newCertificate({ fingerprint: 'aa', notBefore: 0, notAfter: Infinity })]
  const peers = new PeerDirectory({ listPeers: () => [newPeer({ id, certificates, asyncUrl: ASYNC_URL })] })
  const found = peers.authenticate({ fingerprint: 'aa', read: () => undefined }, Date.now())
  if (!(found instanceof NetworkServer)) throw new Error('no network server')
  return found
}

/** What one process posts, and what it says of it. */
interface Process {
  readonly deferred: DeferredAnswers
  readonly posted: string[]
  readonly settled: string[]
  readonly log: string[]
}

describe('requests that are answered by messages of their own', () => {
  let directory: ReturnType<typeof temporaryDirectory>
  let storage: Storage
  beforeEach(() => {
    directory = temporaryDirectory()
    storage = openOrCreate(join(directory.path, 'mortise.db'))
  })
  afterEach(() => {
    storage[Symbol.dispose]()
    directory[Symbol.dispose]()
  })

  /** Answers a message with its own text, in capitals. */
  function begin(change: Partial<Pick<DeferredAnswersPort, 'post' | 'networkServer' | 'handle'>> = {}): Process {
    const [posted, settled, log]: [string[], string[], string[]] = [[], [], []]
    const deferred = new DeferredAnswers({
      requests: storage.deferred,
      handle: (_peer, body) => Promise.resolve({ status: 200, body: Buffer.from(body).toString().toUpperCase() }),
      networkServer: (peerId) => [peer, otherPeer].find((known) => known.peerId.equals(peerId)),
      post: (_peer, body) => {
        posted.push(body)
        return Promise.resolve()
      },
      settled: (outcome) => settled.push(outcome),
      log: (line) => log.push(line),
      ...change,
    })
    return { deferred, posted, settled, log }
  }

  /** As an earlier process that was killed left it. */
  function left(text: string, ageMs = 0, peerId = peer.peerId): Promise<number> {
    return storage.deferred.add({ peerId, receivedAt: Date.now() - ageMs, body: Buffer.from(text) })
  }

  const away = () => Promise.reject(new Error('connection refused'))

  test('are kept until their answer is posted, and no longer', async () => {
    const { promise: arrived, resolve: arrive } = Promise.withResolvers<undefined>()
    const { deferred, settled } = begin({ post: () => arrived })
    expect(await deferred.take(peer, Buffer.from('one'))).toBe(true)
    expect(storage.deferred.list().map(({ body }) => body.toString())).toEqual(['one'])
    expect([deferred.pending, settled]).toEqual([1, []])
    arrive(undefined)
    await until(() => deferred.pending === 0)
    expect([storage.deferred.list(), settled]).toEqual([[], ['posted']])
  })

  test('are answered by the next process, those already answered not again', async () => {
    await using before = begin({ post: (_peer, body) => (body === 'TWO' ? away() : Promise.resolve()) }).deferred
    await before.take(peer, Buffer.from('one'))
    await before.take(peer, Buffer.from('two'))
    await until(() => storage.deferred.list().length === 1)
    await before[Symbol.asyncDispose]()
    const { deferred, posted, settled } = begin()
    expect(posted).toEqual([])
    deferred.resume()
    deferred.resume()
    await until(() => deferred.pending === 0)
    expect([posted, settled, storage.deferred.list()]).toEqual([['TWO'], ['posted'], []])
  })

  test('are answered once, also when they came before the HSM process could answer', async () => {
    await left('old')
    const { deferred, posted } = begin()
    // Is written, and not durable yet, when the HSM process can answer.
    const taking = deferred.take(peer, Buffer.from('new'))
    deferred.resume()
    await taking
    await until(() => deferred.pending === 0)
    expect(posted.toSorted()).toEqual(['NEW', 'OLD'])
  })

  test('are answered at the next attempt, computed anew', async () => {
    let attempts = 0
    const handle = () => Promise.resolve({ status: 200, body: `attempt ${++attempts}` })
    const posted: string[] = []
    const post = (_peer: NetworkServer, body: string) => (posted.push(body) < 3 ? away() : Promise.resolve())
    const { deferred, settled } = begin({ handle, post })
    await deferred.take(peer, Buffer.from('one'))
    await until(() => deferred.pending === 0)
    expect([posted, settled]).toEqual([['attempt 1', 'attempt 2', 'attempt 3'], ['posted']])
  })

  test('are not asked of another join server again, which might take that for a replay', async () => {
    let asked = 0
    const handle: DeferredAnswersPort['handle'] = (_peer, _body, context) => {
      context?.handedOver()
      return Promise.resolve({ status: 200, body: `theirs ${++asked}` })
    }
    const posted: string[] = []
    const post = (_peer: NetworkServer, body: string) => (posted.push(body) < 3 ? away() : Promise.resolve())
    const { deferred } = begin({ handle, post })
    await deferred.take(peer, Buffer.from('one'))
    await until(() => deferred.pending === 0)
    expect([asked, posted]).toEqual([1, ['theirs 1', 'theirs 1', 'theirs 1']])
  })

  test('are answered at once, however many of another peer cannot be', async () => {
    const posted: string[] = []
    const post = (to: NetworkServer, body: string) =>
      to.peerId.equals(peer.peerId) ? away() : Promise.resolve(void posted.push(body))
    await using deferred = begin({ post }).deferred
    await Promise.all(Array.from({ length: 300 }, (_, index) => deferred.take(peer, Buffer.from(`${index}`))))
    expect(await deferred.take(otherPeer, Buffer.from('ours'))).toBe(true)
    await until(() => deferred.pending === 300)
    expect(posted).toEqual(['OURS'])
  })

  test('of any size that a network server has are taken, no larger ones', async () => {
    const { deferred } = begin()
    expect(await deferred.take(peer, Buffer.alloc(4097, 0x20))).toBe(false)
    expect(await deferred.take(peer, Buffer.alloc(4096, 0x20))).toBe(true)
    await until(() => deferred.pending === 0)
  })

  test('are dropped when they are too old to be of use, and younger ones are not', async () => {
    await left('too old', ANSWER_WITHIN_MS)
    await left('young', ANSWER_WITHIN_MS / 2)
    const { deferred, posted, settled } = begin()
    deferred.resume()
    await until(() => deferred.pending === 0)
    expect([posted, settled.toSorted(), storage.deferred.list()]).toEqual([['YOUNG'], ['dropped', 'posted'], []])
  })

  test('are dropped when their network server is one no more', async () => {
    await left('theirs', ANSWER_WITHIN_MS - 300, Buffer.alloc(16, 7))
    await left('ours')
    const { deferred, posted, settled } = begin()
    deferred.resume()
    await until(() => deferred.pending === 0)
    expect([posted, settled.toSorted()]).toEqual([['OURS'], ['dropped', 'posted']])
  })

  test('are refused when there are too many, and taken again when there are fewer', async () => {
    const { promise: arrived, resolve: arrive } = Promise.withResolvers<undefined>()
    const { deferred } = begin({ post: () => arrived })
    const taking = Array.from({ length: MAX_PENDING + 3 }, (_, index) => deferred.take(peer, Buffer.from(`${index}`)))
    const taken = await Promise.all(taking)
    expect([taken.filter(Boolean).length, taken.slice(MAX_PENDING)]).toEqual([MAX_PENDING, [false, false, false]])
    expect(deferred.pending).toBe(MAX_PENDING)
    arrive(undefined)
    await until(() => deferred.pending === 0)
    expect(await deferred.take(peer, Buffer.from('again'))).toBe(true)
    await deferred[Symbol.asyncDispose]()
  })

  test('fill no log when a peer is away', async () => {
    const { deferred, log } = begin({ post: away })
    await Promise.all(Array.from({ length: 20 }, () => deferred.take(peer, Buffer.from('a secret of the message'))))
    await until(() => log.length > 0)
    await deferred[Symbol.asyncDispose]()
    expect(log).toHaveLength(1)
    expect(log[0]).toContain(`the answer for 000013 could not be posted to ${ASYNC_URL}: connection refused`)
    expect(log[0]).not.toContain('a secret of the message'.toUpperCase())
    expect(storage.deferred.list()).toHaveLength(20)
  })
})
