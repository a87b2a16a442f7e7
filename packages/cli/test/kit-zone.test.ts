import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseJoinEui } from '@mortise/lorawan'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { writeZone, type ZoneOptions } from '../src/kit/zone.ts'
import { mortise } from './mortise.ts'

/** Zone records, read by BIND's own checker. */

const ORIGIN = 'joineuis.example'
// TS002 1.0 §19 has this one as its example.
const EXAMPLE = parseJoinEui('00005e100000002f')
const EXAMPLE_NAME = 'f.2.0.0.0.0.0.0.0.1.e.5.0.0.0.0'
const OURS = parseJoinEui('70b3d57ed0000001')
const OURS_NAME = '1.0.0.0.0.0.0.d.e.7.5.d.3.b.0.7'
const BASELINE: ZoneOptions = {
  ...{ origin: ORIGIN, joinEuis: [OURS, EXAMPLE], host: 'js.example.com', port: 8443 },
  ...{ addresses: ['192.0.2.1', '2001:db8::1'], alias: false },
}

let directory: string
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'mortise-zone-'))
})
afterAll(() => {
  rmSync(directory, { recursive: true })
})

/** What BIND makes of the records below a SOA and a name server: one line each, in its own order. */
function checked(origin: string, records: string): string[] {
  const file = join(directory, 'zone')
  const head = '@ 3600 IN SOA ns1.example. admin.example. 1 3600 600 86400 300\n@ 3600 IN NS ns1.example.\n'
  writeFileSync(file, records.replace(/^(\$TTL .*\n)/m, `$1${head}`))
  const words = ['-i', 'local', '-D', '-f', 'text', origin, file]
  const output = execFileSync('named-checkzone', words, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] })
  return output
    .split('\n')
    .map((line) => line.replace(/\s+/g, ' '))
    .filter((line) => / IN (NAPTR|SRV|A|AAAA|CNAME) /.test(line))
}

describe('zone records', () => {
  test('name each JoinEUI by its digits, the last one first: NAPTR to SRV, and addresses', () => {
    const { text, outside } = writeZone(BASELINE)
    expect(outside).toEqual([])
    const records = checked(ORIGIN, text)
    expect(records).toHaveLength(8)
    for (const name of [EXAMPLE_NAME, OURS_NAME]) {
      const owner = `${name}.${ORIGIN}.`
      expect(records).toEqual(
        expect.arrayContaining([
          `${owner} 3600 IN NAPTR 100 10 "S" "LWNS" "" _lwns._tcp.${owner}`,
          `_lwns._tcp.${owner} 3600 IN SRV 0 0 8443 js.example.com.`,
          `${owner} 3600 IN A 192.0.2.1`,
          `${owner} 3600 IN AAAA 2001:db8::1`,
        ]),
      )
    }
  })

  test('are the same text for the same JoinEUIs, in whatever order they come', () => {
    const { text } = writeZone(BASELINE)
    expect(writeZone({ ...BASELINE, joinEuis: [EXAMPLE, OURS] }).text).toBe(text)
    expect(text.indexOf(EXAMPLE_NAME)).toBeLessThan(text.indexOf(OURS_NAME))
  })

  test('are a CNAME alone where one is asked for: beside it, BIND takes nothing else', () => {
    const { text } = writeZone({ ...BASELINE, addresses: [], alias: true })
    const records = checked(ORIGIN, text)
    expect(records).toEqual([
      `${EXAMPLE_NAME}.${ORIGIN}. 3600 IN CNAME js.example.com.`,
      `${OURS_NAME}.${ORIGIN}. 3600 IN CNAME js.example.com.`,
    ])
    expect(() => checked(ORIGIN, `${text}${OURS_NAME} IN A 192.0.2.1\n`)).toThrow()
  })

  test('go into a part of the zone that was delegated, and leave out what is not below it', () => {
    const origin = '0.0.0.0.0.0.d.e.7.5.d.3.b.0.7.joineuis.lora-alliance.org'
    const { text, outside } = writeZone({ ...BASELINE, origin })
    expect(outside).toEqual([EXAMPLE])
    expect(checked(origin, text)).toContain(`1.${origin}. 3600 IN A 192.0.2.1`)
  })

  test('stand at the top of a zone that is one JoinEUI', () => {
    const origin = `${OURS_NAME}.${ORIGIN}`
    const { text } = writeZone({ ...BASELINE, origin })
    expect(checked(origin, text)).toContain(`_lwns._tcp.${origin}. 3600 IN SRV 0 0 8443 js.example.com.`)
  })
})

test('no CNAME stands at the top of a zone, beside SOA and NS: BIND refuses it, and so it is not written', async () => {
  const origin = `${OURS_NAME}.${ORIGIN}`
  expect(() => checked(origin, `$ORIGIN ${origin}.\n$TTL 3600\n@ IN CNAME js.example.com.\n`)).toThrow()
  const words = ['dns', 'zone', '--host', 'js.example.com', '--origin', origin, '--cname', '--join-eui']
  const { code, stdout, stderr } = await mortise([...words, OURS])
  expect([code, stdout]).toEqual([2, ''])
  expect(stderr).toContain('a CNAME cannot stand at the top of a zone')
  const above = await mortise([...words.with(5, ORIGIN), OURS])
  expect([above.code, checked(ORIGIN, above.stdout)]).toEqual([
    0,
    [`${OURS_NAME}.${ORIGIN}. 3600 IN CNAME js.example.com.`],
  ])
})

describe('mortise dns zone', () => {
  const options = ['dns', 'zone', '--host', 'JS.example.com.', '--join-eui', OURS]

  test('prints them, with the port of https unless told otherwise', async () => {
    const { code, stdout } = await mortise([...options, '--origin', ORIGIN])
    expect(code).toBe(0)
    expect(checked(ORIGIN, stdout)).toContain(`_lwns._tcp.${OURS_NAME}.${ORIGIN}. 3600 IN SRV 0 0 443 js.example.com.`)
  })

  test('is below the domain of the LoRa Alliance by default', async () => {
    const { stdout } = await mortise(options)
    expect(stdout).toMatch(/^\$ORIGIN joineuis\.lora-alliance\.org\.\n\$TTL 3600\n/)
  })

  test.each([
    ['an address in place of a name', ['--host', '192.0.2.1'], 'a domain name'],
    ['a name that is none', ['--host', '-js.example'], 'a domain name'],
    ['no address', ['--address', 'js.example'], 'an IPv4 or IPv6 address'],
    ['an address beside a CNAME', ['--cname', '--address', '192.0.2.1'], '--cname stands alone'],
  ])('refuses %s', async (_what, more, words) => {
    const { code, stderr } = await mortise([...options, ...more])
    expect(code).toBe(2)
    expect(stderr).toContain(words)
  })
})
