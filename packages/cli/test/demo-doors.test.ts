import { mkdirSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { DOOR_PAYLOADS } from '../src/demo/doors/door.ts'
import { findMosquitto } from '../src/demo/doors/mosquitto.ts'
import {
  findPlaintexts,
  hasEqual,
  shareOfOnes,
  toleranceOfOnes,
  type ViewEntry,
} from '../src/demo/doors/network-view.ts'
import { mortise, Workplace } from './mortise.ts'

let place: Workplace
beforeEach(() => {
  place = new Workplace()
})
afterEach(() => {
  place[Symbol.dispose]()
})

describe('mortise demo doors', () => {
  test('shows what it says, and keeps the view of the network', async () => {
    mkdirSync(place.path('here'))
    const { code, stdout, stderr } = await mortise(['demo', 'doors', '--devices', '6'], { cwd: place.path('here') })
    expect(stderr).toBe('')
    expect(code).toBe(0)
    expect(stdout).toContain('all 18 events arrived')
    expect(stdout).toMatch(/Done: 10 claims shown in \d+\.\d s\./)
    const [name = '', ...more] = readdirSync(place.path('here'))
    expect(more).toEqual([])
    expect(name).toMatch(/^network-view-\d{8}T\d{6}\.jsonl$/)
    const path = join(place.path('here'), name)
    expect(statSync(path).mode & 0o777).toBe(0o600)
    const view = readFileSync(path, 'utf8')
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as ViewEntry)
    expect(new Set(view.map(({ kind }) => kind))).toEqual(
      new Set([
        'frame',
        'request',
        'answer',
        'network-session-key',
        'application-downlink',
        'broker',
        'downlink-queue',
        'frame-sent',
      ]),
    )
    // 6 joins and 18 uplinks, each with its event.
    expect(view.filter(({ kind }) => kind === 'broker')).toHaveLength(24)
    expect(findPlaintexts(view, DOOR_PAYLOADS)).toEqual([])
  })

  test('takes no file that is there for the view', async () => {
    const out = place.secret('view.jsonl', 'kept')
    const { code, stderr } = await mortise(['demo', 'doors', '--devices', '2', '--out', out])
    expect(code).toBe(1)
    expect(stderr).toContain('is there already')
    expect(readFileSync(out, 'utf8')).toBe('kept')
  })

  test.each(['1', '1001', 'many'])('refuses %s doors', async (devices) => {
    const { code, stderr } = await mortise(['demo', 'doors', '--devices', devices])
    expect(code).toBe(2)
    expect(stderr).toContain('expected')
  })
})

describe('the search through the view', () => {
  const plaintext = Buffer.from('door opened, event 1 today')
  test.each([
    ['as it is', plaintext.toString()],
    ['in hexadecimal', `{"PHYPayload":"00${plaintext.toString('hex')}ff"}`],
    ['in hexadecimal, half a byte later', `0${plaintext.toString('hex')}`],
    ['in base64', `{"data":"${plaintext.toString('base64')}"}`],
    ['in base64, within something longer', Buffer.concat([Buffer.of(1, 2), plaintext]).toString('base64url')],
  ])('finds a plaintext %s', (_how, text) => {
    const entries = [{ kind: 'broker', text }]
    expect(findPlaintexts(entries, [plaintext, Buffer.from('door closed, event 2 today')])).toEqual([plaintext])
  })

  test('tells equal ciphertexts, and bits that are not as good as random', () => {
    expect(hasEqual([Buffer.from('a'), Buffer.from('b')])).toBe(false)
    expect(hasEqual([Buffer.from('a'), Buffer.from('b'), Buffer.from('a')])).toBe(true)
    const clear = Array.from({ length: 100 }, () => plaintext)
    expect(Math.abs(shareOfOnes(clear) - 0.5)).toBeGreaterThan(toleranceOfOnes(clear))
    const even = Array.from({ length: 100 }, () => Buffer.alloc(26, 0x55))
    expect(shareOfOnes(even)).toBe(0.5)
  })
})

test('Mosquitto that is not installed is named with its package', () => {
  expect(() => findMosquitto('/nowhere')).not.toThrow()
  expect(() => findMosquitto('/nowhere', [])).toThrow('apt-get install mosquitto')
})
