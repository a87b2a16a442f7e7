import { runInNewContext } from 'node:vm'
import { afterAll, expect, test } from 'vitest'
import { PayloadCodecs } from '../../src/index.ts'

const codecs = new PayloadCodecs({ timeMs: 10_000 })
afterAll(() => codecs[Symbol.asyncDispose]())

const BYTES = Uint8Array.of(0x01, 0x80, 0xff, 0x41, 0xc3, 0xa4, 0x00, 0xfe, 0x3d)

/** Node's own Buffer is the oracle: the expression must give the same inside the sandbox. */
test.each([
  `Buffer.from(bytes).toString('hex')`,
  `new Buffer(bytes).toString('base64')`,
  `Buffer(bytes.slice(0, 2)).toString('base64')`,
  `Buffer.from(bytes.slice(0, 1)).toString('base64')`,
  `Buffer.from(bytes).toString('ascii', 3, 4)`,
  `Buffer.from(bytes).toString('latin1')`,
  `Buffer.from(bytes).slice(3, 6).toString()`,
  `Buffer.from('Grüße €').toString('hex')`,
  `Buffer.from('c3a4ZZ00', 'hex').toString()`,
  `Buffer.from('AYD/QcOk', 'base64').toString('hex')`,
  `Buffer.from('AYD_QcM', 'base64').toString('hex')`,
  `Buffer.from('ä', 'latin1').toJSON()`,
  ...['UInt8', 'Int8'].map((kind) => `[0, 1, 8].map((n) => Buffer.from(bytes).read${kind}(n))`),
  ...['UInt16', 'Int16', 'UInt32', 'Int32', 'Float', 'Double'].flatMap((kind) =>
    ['BE', 'LE'].map((order) => `[0, 1].map((n) => Buffer.from(bytes).read${kind}${order}(n))`),
  ),
  `String(Buffer.from(bytes).readBigUInt64LE(1))`,
  `Buffer.from(bytes).readUint16BE(1)`,
  `[3, 5, 6].map((size) => Buffer.from(bytes).readUIntBE(1, size))`,
  `[3, 5, 6].map((size) => Buffer.from(bytes).readIntLE(1, size))`,
  `[1, 2, 3].map((size) => Buffer.from(bytes).readIntBE(2, size))`,
  `{ const b = Buffer.alloc(6); const end = b.writeInt16LE(-2, 1); b.writeFloatBE(0.5, 2); return [end, b.toString('hex')] }`,
  `Buffer.concat([Buffer.from([1]), Uint8Array.of(2, 3)]).equals(Buffer.from([1, 2, 3]))`,
  `[Buffer.isBuffer(bytes), Buffer.isBuffer(Buffer.from(bytes)), Buffer.byteLength('€')]`,
  `{ try { Buffer.from(bytes).readUInt32BE(6) } catch (error) { return error instanceof RangeError } }`,
])('Buffer in a codec is Node’s: %s', async (expression) => {
  const body = expression.startsWith('{') ? expression : `{ return ${expression} }`
  // The constructor is deprecated, in Node alone.
  const oracle = body.replaceAll(/(new )?(?<!\.is)Buffer\(/g, 'Buffer.from(')
  const expected: unknown = runInNewContext(`(() => ${oracle})()`, { bytes: Array.from(BYTES), Buffer, RangeError })
  const source = `const result = (bytes) => ${body}; function decodeUplink({ bytes }) { return { data: { result: result(bytes) } } }`
  const { data } = await codecs.decodeUplink({ name: 'buffers', source }, { bytes: BYTES, fPort: 1 })
  expect(data?.['result']).toEqual(JSON.parse(JSON.stringify(expected)))
})
