import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { setTimeout as delay } from 'node:timers/promises'
import { type AnswerInbox, createClient } from '@mortise/backend-interfaces'
import { AnswerListener, NetworkServer } from '@mortise/simulator'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { Installation, type ServerProcess } from './support/installation.ts'
import { issueListenerTls, type ListenerTls } from './support/listener-tls.ts'
import { addPeer, enrolDevice, NET_ID, type TestDevice, tlsOf } from './support/parties.ts'

/** A network server takes its answers at a URL of its own, and is away for a while, or Mortise is. */

const TEST_TIMEOUT_MS = 120_000
const EXCHANGE_TIMEOUT_MS = 30_000

/** Where answers arrive, whichever listener takes them. */
class Inbox implements AnswerInbox, AsyncDisposable {
  readonly #listening = Promise.withResolvers<AnswerListener>()
  readonly #tls: ListenerTls
  #listener: AnswerListener | undefined
  url = ''

  private constructor(tls: ListenerTls) {
    this.#tls = tls
  }

  /** With a URL at which nobody listens yet. */
  static async prepare(installation: Installation): Promise<Inbox> {
    const inbox = new Inbox(await issueListenerTls(installation))
    await using listener = await AnswerListener.listen({ host: '127.0.0.1', port: 0, ...inbox.#tls })
    inbox.url = listener.url
    return inbox
  }

  async open(): Promise<void> {
    const port = Number(new URL(this.url).port)
    this.#listener = await AnswerListener.listen({ host: '127.0.0.1', port, ...this.#tls })
    this.#listening.resolve(this.#listener)
  }

  /** Answers that came a second time. */
  get unclaimed(): number {
    return this.#listener?.unclaimed ?? 0
  }

  async answerTo(transactionId: number, signal: AbortSignal): Promise<Uint8Array> {
    return await (await this.#listening.promise).answerTo(transactionId, signal)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#listener?.[Symbol.asyncDispose]()
  }
}

describe('an answer that could not be posted', () => {
  let installation: Installation
  let inbox: Inbox
  let directory: string
  let door: TestDevice
  beforeEach(async () => {
    installation = await Installation.create()
    inbox = await Inbox.prepare(installation)
    directory = await addPeer(installation, 'ns', NET_ID, ['--async-url', inbox.url])
    door = await enrolDevice(installation, '1.0.4', { as: '' })
  }, TEST_TIMEOUT_MS)
  afterEach(async () => {
    await inbox[Symbol.asyncDispose]()
    await installation[Symbol.asyncDispose]()
  })

  test.each(['SIGKILL', 'SIGTERM'] as const)(
    'is posted by the next process after %s, once, and fits the device',
    async (signal) => {
      const server = await installation.serve()
      await using operator = connect(server)
      const activating = operator.activate(await door.device.joinRequest(), { macVersion: '1.0.4' })
      activating.catch(() => undefined)
      await until(() => operator.seen.entries.some(({ kind, text }) => kind === 'answer' && text === ''))
      await until(() => joinsIn(installation) === 1)
      expect(waitingIn(installation)).toBe(1)
      await server.kill(signal)
      await inbox.open()
      const [next, { phyPayload }] = await Promise.all([installation.serve(), activating])
      expect((await door.device.handleJoinAccept(phyPayload)).joinNonce).toBe(1)
      await until(() => waitingIn(installation) === 0)
      await next.kill('SIGTERM')
      const last = await installation.serve()
      await using again = connect(last)
      const { phyPayload: second } = await again.activate(await door.device.joinRequest(), { macVersion: '1.0.4' })
      expect((await door.device.handleJoinAccept(second)).joinNonce).toBe(2)
      expect(inbox.unclaimed).toBe(0)
    },
    TEST_TIMEOUT_MS,
  )

  /** The client's own URL is that of the first server: each has its own. */
  function connect(server: ServerProcess): NetworkServer {
    return new NetworkServer({
      netId: NET_ID,
      protocolVersion: '1.0',
      connect: (onExchange) =>
        createClient({ url: server.biUrl, ...tlsOf(directory), timeoutMs: EXCHANGE_TIMEOUT_MS, inbox, onExchange }),
    })
  }
})

/** Requests that are taken and not answered. */
function waitingIn(installation: Installation): number {
  return count(installation, 'SELECT count(*) AS count FROM deferred_request')
}

/** Key sets that have joined. */
function joinsIn(installation: Installation): number {
  return count(installation, 'SELECT count(*) AS count FROM key_set WHERE last_join_nonce > 0')
}

function count({ data }: Installation, query: string): number {
  using database = new DatabaseSync(join(data, 'mortise.db'), { readOnly: true })
  return Number(database.prepare(query).get()?.['count'])
}

async function until(condition: () => boolean): Promise<void> {
  const deadline = Date.now() + EXCHANGE_TIMEOUT_MS
  while (!condition()) {
    if (Date.now() > deadline) throw new Error('it did not become so in time')
    await delay(20)
  }
}
