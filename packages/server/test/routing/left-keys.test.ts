import { existsSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { tellLeftKeys } from '../../src/routing/index.ts'
import { newRoute, temporaryDirectory } from '../storage/fixtures.ts'

let directory: ReturnType<typeof temporaryDirectory>
let lines: string[]
beforeEach(() => {
  directory = temporaryDirectory()
  lines = []
})
afterEach(() => {
  directory[Symbol.dispose]()
})

function keyFile(routeId: string): string {
  return join(directory.path, `${routeId}.key`)
}

describe('private keys that a crash or a refused order left behind', () => {
  const ids = { ofRoute: 'a'.repeat(32), ofOrder: 'b'.repeat(32), left: 'c'.repeat(32) }
  const keys = (change: { readonly left?: boolean } = {}) => {
    const kept = Object.entries(ids).filter(([name]) => name !== 'left' || (change.left ?? true))
    for (const [, id] of kept) writeFileSync(keyFile(id), 'a private key', { mode: 0o600 })
    return {
      ...{ routeIds: () => kept.map(([, id]) => id), keyFile, log: (line: string) => lines.push(line) },
      storage: {
        listRoutes: () => [newRoute({ routeId: Buffer.from(ids.ofRoute, 'hex') })],
        listOrders: () => [{ text: Buffer.from(`{"changes":[{"action":"route.add","route":"${ids.ofOrder}"}]}`) }],
      },
    }
  }

  test('are named, and stay: a copy of the database that is older may have been put there by mistake', () => {
    tellLeftKeys(keys())
    expect(lines).toEqual([expect.stringContaining(keyFile(ids.left))])
    for (const kept of [ids.ofRoute, ids.ofOrder]) expect(lines.join('')).not.toContain(kept)
    for (const id of Object.values(ids)) expect(existsSync(keyFile(id))).toBe(true)
  })

  test('are none of a route, and none of an order that waits', () => {
    tellLeftKeys(keys({ left: false }))
    expect(lines).toEqual([])
  })

  test('that cannot be looked through keep no server from starting', () => {
    tellLeftKeys({ ...keys(), routeIds: () => readdirSync(join(directory.path, 'elsewhere')) })
    expect(lines).toEqual([expect.stringContaining('ENOENT')])
  })
})
