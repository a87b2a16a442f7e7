import { describe, expect, test } from 'vitest'
import { readToml, tomlFaults, tomlString } from '../src/kit/toml.ts'

const FILE = `
title = "before"   # the first heading
# [[join_server.servers]]
[network]
  net_id="000013"
  enabled_regions=[
    "eu868",
  ]
[[ join_server.servers ]] # one
server = 'https://js.example/#/path'
retries = 5
enabled=true
quoted = "a \\"b\\" \\\\ c"
[[join_server.servers]]\r
server="two"\r
`

describe('the tables of a TOML file', () => {
  test('come in order, with their one-line values', () => {
    const tables = readToml(FILE).map(({ name, values, line }) => ({ name, line, values: Object.fromEntries(values) }))
    expect(tables).toEqual([
      { name: '', line: 1, values: { title: 'before' } },
      { name: 'network', line: 4, values: { net_id: '000013' } },
      {
        name: 'join_server.servers',
        line: 9,
        values: { server: 'https://js.example/#/path', retries: 5, enabled: true, quoted: 'a "b" \\ c' },
      },
      { name: 'join_server.servers', line: 14, values: { server: 'two' } },
    ])
  })

  test('give back the strings that are written', () => {
    for (const text of ['plain', 'a "b"', 'back\\slash', '# no comment', '']) {
      const [table] = readToml(`key=${tomlString(text)}`)
      expect(table?.values.get('key')).toBe(text)
    }
  })
})

describe('a line that no reader of TOML takes', () => {
  test('is none in a good file, whatever is passed over in it', () => {
    const more =
      'dates=1979-05-27T07:32:00Z\nhalf=0.5\nzero=0\ntext="""\nno = [setting\n"""\nlist=[ "a",\n  "b" ]\na.b="dotted"\n'
    expect(tomlFaults(FILE + more)).toEqual([])
  })

  test.each([
    ['junk', 'neither a heading nor a setting'],
    ['[broken', 'neither a heading nor a setting'],
    ['tls_key="x/', 'no end'],
    ["tls_key='x/", 'no end'],
    ['net_id=000013', 'quotation marks'],
  ])('%s is named with its number', (line, why) => {
    expect(tomlFaults(`[network]\n${line}\nname="good"\n`)).toEqual([
      { line: 2, detail: expect.stringContaining(why) as string },
    ])
  })
})
