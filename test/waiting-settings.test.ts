import { afterAll, beforeAll, expect, test } from 'vitest'
import { Installation } from './support/installation.ts'
import { addPeer, NET_ID } from './support/parties.ts'

/** Orders that wait for a server say what was named in them, and nothing that an order before them changed. */

const TIMEOUT_MS = 60_000

let installation: Installation

beforeAll(async () => {
  installation = await Installation.create()
  await addPeer(installation, 'ns', NET_ID)
  const server = await installation.serve()
  await server.kill('SIGTERM')
}, TIMEOUT_MS)
afterAll(() => installation[Symbol.asyncDispose]())

test(
  'a setting that waits is not undone by one of something else',
  async () => {
    const set = (...options: string[]) => installation.mortise('peer', 'set', 'ns', '--net-id', NET_ID, ...options)
    await set('--kek-only')
    await set('--async-url', 'https://ns.example.com/answers')
    await set('--dialect', 'chirpstack-4')
    await installation.serve()
    expect(await installation.json('peer', 'show', NET_ID)).toMatchObject({
      ...{ kekOnly: true, asyncUrl: 'https://ns.example.com/answers', dialect: 'chirpstack-4' },
    })
  },
  TIMEOUT_MS,
)
