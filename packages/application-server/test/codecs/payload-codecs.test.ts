import { afterAll, describe, expect, test } from 'vitest'
import { type Codec, CodecError, PayloadCodecs } from '../../src/index.ts'

const codecs = new PayloadCodecs({ timeMs: 10_000 })
afterAll(() => codecs[Symbol.asyncDispose]())

const UPLINK = {
  bytes: Uint8Array.of(0x01, 0x80, 0xff),
  fPort: 2,
  recvTime: new Date('2026-11-21T10:00:00.000Z'),
  variables: { offset: '-3' },
}

function codec(source: string): Codec {
  return { name: 'a door', source }
}

/** A codec whose decodeUplink has this body. */
function decoding(body: string): Codec {
  return codec(`function decodeUplink(input) { ${body} }`)
}

async function decode(one: Codec, by = codecs): Promise<unknown> {
  return (await by.decodeUplink(one, UPLINK)).data
}

/** The error code of a codec, which must name it. */
async function refusalOf(one: Codec, by = codecs): Promise<string> {
  const error: unknown = await by.decodeUplink(one, UPLINK).catch((thrown: unknown) => thrown)
  if (!(error instanceof CodecError)) return `no error but ${JSON.stringify(error)}`
  expect(error.message).toContain('"a door"')
  expect(error.codec).toBe('a door')
  return error.code
}

const GOOD = decoding('return { data: { open: input.bytes[0] === 1 } }')

describe('a codec of TS013', () => {
  test('gets bytes, port, time and variables, and gives data and warnings', async () => {
    const one = decoding(`
      const { bytes, fPort, recvTime, variables } = input
      return {
        data: { list: Array.isArray(bytes), last: bytes[2], sum: bytes.reduce((a, b) => a + b), fPort,
                hour: recvTime.getUTCHours(), time: recvTime, offset: Number(variables.offset) },
        warnings: ['low battery'],
      }`)
    expect(await codecs.decodeUplink(one, UPLINK)).toEqual({
      data: { list: true, last: 255, sum: 384, fPort: 2, hour: 10, time: '2026-11-21T10:00:00.000Z', offset: -3 },
      warnings: ['low battery'],
      errors: [],
    })
  })

  test('says itself what is wrong with a payload', async () => {
    expect(await codecs.decodeUplink(decoding(`return { errors: ['too short'] }`), UPLINK)).toEqual({
      warnings: [],
      errors: ['too short'],
    })
  })

  test('decodes and encodes downlinks', async () => {
    const one = codec(`
      function encodeDownlink({ data, fPort, variables }) { return { bytes: [data.lock ? 1 : 0, variables.n], fPort: fPort + 1 } }
      function decodeDownlink({ bytes }) { return { data: { lock: bytes[0] === 1 } } }`)
    const encoded = await codecs.encodeDownlink(one, { data: { lock: true }, fPort: 7, variables: { n: 9 } })
    expect(encoded).toEqual({ bytes: Uint8Array.of(1, 9), fPort: 8, warnings: [], errors: [] })
    expect(await codecs.decodeDownlink(one, { bytes: Uint8Array.of(1), fPort: 8 })).toMatchObject({
      data: { lock: true },
    })
  })

  test.each([
    ['const and an arrow', 'const decodeUplink = (input) => ({ data: { n: input.bytes.length } })', { n: 3 }],
    [
      'a constructor’s style',
      'var decodeUplink; decodeUplink = function (i) { return { data: { n: i.fPort } } }',
      { n: 2 },
    ],
    ['sloppy globals', 'function decodeUplink(input) { n = input.fPort; return { data: { n: n } } }', { n: 2 }],
    [
      'helpers and bit shifts',
      'function i16(b,i){return b[i]<<24>>16|b[i+1]}function decodeUplink(x){return{data:{t:i16(x.bytes,1)}}}',
      { t: -32513 },
    ],
    [
      'Decoder, before TS013',
      'function Decoder(bytes, port) { return { n: bytes.length, port: port } }',
      { n: 3, port: 2 },
    ],
    [
      'an export that is guarded',
      `${GOOD.source}; if (typeof module !== 'undefined') module.exports = {}`,
      { open: true },
    ],
    [
      'typed arrays',
      decoding('return { data: { f: new DataView(Uint8Array.from(input.bytes).buffer).getInt16(0) } }').source,
      { f: 384 },
    ],
  ])('runs unchanged with %s', async (_, source, data) => {
    expect(await decode(codec(source))).toEqual(data)
  })

  test.each([
    ['Encoder, before TS013', 'function Encoder(data, port) { return [data.n, port] }', [5, 7], 7],
    ['no FPort', 'function encodeDownlink() { return { bytes: [1] } }', [1], undefined],
    ['a typed array', 'function encodeDownlink() { return { bytes: Uint8Array.of(1, 2) } }', [1, 2], undefined],
  ])('encodes with %s', async (_, source, bytes, fPort) => {
    const encoded = await codecs.encodeDownlink(codec(source), { data: { n: 5 }, fPort: 7 })
    expect([Array.from(encoded.bytes ?? []), encoded.fPort]).toEqual([bytes, fPort])
  })

  test.each([
    ['nothing', 'return'],
    ['a number', 'return 1'],
    ['null', 'return null'],
    ['no data', 'return {}'],
    ['a list as its data', 'return { data: [1] }'],
    ['a promise', 'return Promise.resolve({ data: {} })'],
    ['a function', 'return () => 1'],
    ['toJSON that gives a text', 'return { toJSON: () => "x" }'],
    ['toJSON that gives nothing', 'return { toJSON: () => undefined }'],
    ['a nesting of 40 levels', 'let d = {}; for (let n = 0; n < 40; n++) d = { d }; return { data: d }'],
    ['a member __proto__', `return { data: JSON.parse('{"__proto__": {"admin": true}}') }`],
  ])('that returns %s is refused', async (_, body) => {
    expect(await refusalOf(decoding(body))).toBe('codec_result_invalid')
    expect(await decode(GOOD)).toEqual({ open: true })
  })

  test.each(['[256]', '[-1]', '[1.5]', '["1"]', '"01"', '{}', 'undefined'])(
    'that encodes to %s is refused',
    async (bytes) => {
      const one = codec(`function encodeDownlink() { return { bytes: ${bytes} } }`)
      await expect(codecs.encodeDownlink(one, { data: {} })).rejects.toMatchObject({ code: 'codec_result_invalid' })
    },
  )
})

describe('a broken codec', () => {
  test.each([
    ['that is no JavaScript', codec('function {'), 'codec_syntax'],
    ['that throws when it is loaded', codec('throw new Error("x")'), 'codec_syntax'],
    ['that is a module', codec('export function decodeUplink() {}'), 'codec_syntax'],
    ['that defines nothing', codec(''), 'codec_function_missing'],
    ['that defines no function', codec('var decodeUplink = 1'), 'codec_function_missing'],
    ['of more than 1 MiB', codec(' '.repeat(2 ** 20 + 1)), 'codec_too_large'],
    ['that throws', decoding('throw new TypeError("no such field")'), 'codec_threw'],
    ['that throws no error', decoding('throw null'), 'codec_threw'],
  ])('%s is named', async (_, one, code) => {
    expect(await refusalOf(one)).toBe(code)
  })

  test('says what it threw beside the message, not in it', async () => {
    const error = await codecs
      .decodeUplink(decoding('throw new Error("secret reading")'), UPLINK)
      .catch((e: unknown) => e)
    expect(error).toMatchObject({ detail: 'Error: secret reading', message: 'The codec "a door" threw an error.' })
  })
})

/** Each tries to do harm. The good codec must run as if nothing had been, in the same sandbox or the next one. */
describe('a hostile codec', () => {
  const quick = new PayloadCodecs({ timeMs: 500 })
  afterAll(() => quick[Symbol.asyncDispose]())

  test.each([
    ['an endless loop', 'for (;;);', 'codec_timeout'],
    ['an endless loop that catches everything', 'for (;;) try { for (;;); } catch {}', 'codec_timeout'],
    ['a search that no interrupt stops', 'Array.prototype.indexOf.call({ length: 2 ** 32 }, 1)', 'codec_timeout'],
    ['a catastrophic regular expression', `/^(a+)+$/.test('a'.repeat(40) + '!')`, 'codec_timeout'],
    ['toJSON that never ends', 'return { data: { toJSON() { for (;;); } } }', 'codec_timeout'],
    ['an accessor that never ends', 'return { get data() { for (;;); } }', 'codec_timeout'],
    ['an error whose message never ends', 'throw { get message() { for (;;); } }', 'codec_timeout'],
    ['a memory bomb', 'const all = []; for (;;) all.push(new Uint8Array(2 ** 20))', 'codec_memory or codec_timeout'],
    ['a huge string', `return { data: { s: 'x'.repeat(2 ** 29) } }`, 'codec_memory'],
    ['a huge buffer', 'new ArrayBuffer(2 ** 30)', 'codec_memory'],
    ['a deep recursion', 'return decodeUplink(input)', 'codec_recursion'],
    ['a result that is too large', `return { data: { s: 'x'.repeat(70000) } }`, 'codec_result_too_large'],
    ['require', `require('node:fs')`, 'codec_threw'],
    ['process', 'process.exit(1)', 'codec_threw'],
    ['the network', `fetch('http://127.0.0.1/')`, 'codec_threw'],
    ['a constructor’s way out', `this.constructor.constructor('return process')().exit()`, 'codec_threw'],
    ['a promise that never ends', 'return new Promise(() => {})', 'codec_result_invalid'],
    ['import()', `return import('node:fs')`, 'codec_result_invalid'],
    [
      'a job for later',
      'Promise.resolve().then(() => { for (;;); }); return { data: {} }',
      'no error but {"data":{},"warnings":[],"errors":[]}',
    ],
  ])('with %s harms nothing, and is named', async (_, body, code) => {
    // Filling memory takes time too: which limit comes first is the machine's.
    expect(code.split(' or ')).toContain(await refusalOf(decoding(body), quick))
    expect(await decode(GOOD, quick)).toEqual({ open: true })
  })

  test.each([
    ['Object.prototype', 'Object.prototype.open = "polluted"; Object.prototype.admin = true'],
    ['Array.prototype', 'Array.prototype.map = Array.prototype.reduce = () => "polluted"'],
    ['JSON', 'JSON.stringify = JSON.parse = () => "polluted"'],
    ['a global', 'globalThis.decodeUplink = () => ({ data: "polluted" }); globalThis.Date = 1'],
    ['toJSON of everything', 'Object.prototype.toJSON = () => ({ data: { polluted: true } })'],
  ])('that pollutes %s pollutes itself alone', async (_, pollution) => {
    await quick.decodeUplink(decoding(`${pollution}; return { data: {} }`), UPLINK).catch(() => undefined)
    expect(await decode(GOOD, quick)).toEqual({ open: true })
    expect(Object.keys(Object.prototype)).toEqual([])
    expect(Object.hasOwn(Object.prototype, 'admin')).toBe(false)
  })

  test('holds up the others for as long as it may run, not the process', async () => {
    let turns = 0
    const ticking = setInterval(() => turns++, 5)
    const hostile = refusalOf(decoding('for (;;);'), quick)
    const good = Promise.all(Array.from({ length: 10 }, () => decode(GOOD, quick)))
    expect(await hostile).toBe('codec_timeout')
    expect(await good).toEqual(Array(10).fill({ open: true }))
    clearInterval(ticking)
    expect(turns).toBeGreaterThan(5)
  })
})

describe('the sandbox', () => {
  test('takes a bounded number of calls', async () => {
    await using few = new PayloadCodecs({ timeMs: 10_000 })
    const calls = Array.from({ length: 1001 }, () => few.decodeUplink(GOOD, UPLINK))
    const outcomes = await Promise.allSettled(calls)
    expect(outcomes.filter(({ status }) => status === 'fulfilled')).toHaveLength(1000)
    expect(outcomes[1000]).toMatchObject({ status: 'rejected', reason: { code: 'codec_busy' } })
    expect(await decode(GOOD, few)).toEqual({ open: true })
  })

  test('is given JSON alone', async () => {
    const cyclic: Record<string, unknown> = {}
    cyclic['self'] = cyclic
    const encode = (data: unknown) => codecs.encodeDownlink(GOOD, { data: data as Record<string, string> })
    await expect(encode(cyclic)).rejects.toMatchObject({ code: 'codec_input_invalid' })
    await expect(encode({ big: 1n })).rejects.toMatchObject({ code: 'codec_input_invalid' })
  })
})
