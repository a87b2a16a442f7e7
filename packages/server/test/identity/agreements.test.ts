import { parseDevEui, parseJoinEui, parseJoinEuiPrefix, parseNetId } from '@mortise/lorawan'
import { expect, it } from 'vitest'
import { Agreements } from '../../src/identity/index.ts'
import type { Agreement } from '../../src/storage/index.ts'

const [NET, OTHER] = [parseNetId('000013'), parseNetId('000014')]
const DEV_EUI = parseDevEui('0004a30b001a2b3c')
const OTHER_DEV_EUI = parseDevEui('0004a30b001a2b3d')
const [JOIN_EUI, OTHER_JOIN_EUI] = [parseJoinEui('70b3d57ed0000001'), parseJoinEui('0000000000000001')]

const agreement = (netId: Agreement['netId'], scope: Agreement['scope']): Agreement => ({
  ...{ peerId: Buffer.alloc(16, 1), netId, scope, addedAt: 0 },
})

it('allow what was agreed on, to the network server that it was agreed on with', () => {
  const agreements = new Agreements({
    listAgreements: () => [
      agreement(NET, { devEui: DEV_EUI }),
      agreement(NET, parseJoinEuiPrefix('70b3d57ed/36')),
      agreement(OTHER, parseJoinEuiPrefix('0/64')),
    ],
  })
  const rows = [
    [NET, DEV_EUI, OTHER_JOIN_EUI, true],
    [NET, OTHER_DEV_EUI, JOIN_EUI, true],
    [NET, OTHER_DEV_EUI, OTHER_JOIN_EUI, false],
    [OTHER, DEV_EUI, JOIN_EUI, false],
    [OTHER, DEV_EUI, parseJoinEui('0000000000000000'), true],
    [parseNetId('000015'), DEV_EUI, JOIN_EUI, false],
  ] as const
  for (const [netId, devEui, joinEui, allowed] of rows) expect(agreements.allows(netId, devEui, joinEui)).toBe(allowed)
})

it('see what changed when they are read again', () => {
  const listed: Agreement[] = []
  const agreements = new Agreements({ listAgreements: () => listed })
  expect(agreements.allows(NET, DEV_EUI, JOIN_EUI)).toBe(false)
  listed.push(agreement(NET, parseJoinEuiPrefix('0/0')))
  expect(agreements.allows(NET, DEV_EUI, JOIN_EUI)).toBe(false)
  agreements.reload()
  expect(agreements.allows(NET, DEV_EUI, JOIN_EUI)).toBe(true)
  listed.length = 0
  agreements.reload()
  expect(agreements.allows(NET, DEV_EUI, JOIN_EUI)).toBe(false)
})

it('are not looked through one by one for a JoinEUI that has none', () => {
  let read = 0
  const scopes = Array.from({ length: 1000 }, (_, index) => ({
    bits: 64,
    get joinEui() {
      read += 1
      return parseJoinEui(index.toString(16).padStart(16, '0'))
    },
  }))
  const agreements = new Agreements({ listAgreements: () => scopes.map((scope) => agreement(NET, scope)) })
  read = 0
  expect(agreements.allows(NET, DEV_EUI, JOIN_EUI)).toBe(false)
  expect(agreements.allows(NET, DEV_EUI, parseJoinEui('00000000000003e7'))).toBe(true)
  expect(read).toBe(0)
})
