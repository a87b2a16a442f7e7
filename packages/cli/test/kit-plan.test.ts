import { parseJoinEuiPrefix, parseNetId } from '@mortise/lorawan'
import type { PeerView } from '@mortise/server'
import { expect, test } from 'vitest'
import type { KitKind } from '../src/kit/manifest.ts'
import { planKit } from '../src/kit/plan-kit.ts'

const NET_ID = parseNetId('000013')
const PEER: PeerView = {
  ...{ peerId: '0'.repeat(32), kind: 'ns', id: NET_ID, protocol: '1.0', dialect: 'the-things-stack', kekOnly: false },
  ...{ state: 'active', disabled: false, createdAt: '', certificates: [], tokens: [] },
}
const administration = {
  listKeks: () => Promise.resolve([]),
  listDevices: () => Promise.resolve({ devices: [], next: undefined }),
  listCertificates: () => Promise.resolve([]),
}

const plan = (kind: KitKind, url: string) =>
  planKit(administration, PEER, NET_ID, { kind, url, joinEuis: [parseJoinEuiPrefix('0/0')], data: undefined })

test('The Things Stack asks a path alone: a URL with a query is refused, and taken for ChirpStack', async () => {
  const withQuery = 'https://js.example.com/bi?tenant=1'
  await expect(plan('the-things-stack', withQuery)).rejects.toMatchObject({ code: 'usage' })
  await expect(plan('the-things-stack', withQuery)).rejects.toThrow('query')
  expect((await plan('chirpstack', withQuery)).manifest.url).toBe(withQuery)
  expect((await plan('the-things-stack', 'https://js.example.com/bi')).manifest.url).toBe('https://js.example.com/bi')
})
