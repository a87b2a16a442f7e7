/**
 * `Buffer` for codecs that were written for ChirpStack, which has it: what such codecs use of Node's, over Uint8Array.
 * Runs inside the sandbox.
 */
export const BUFFER_SCRIPT = String.raw`(() => {
  'use strict'
  const HEX = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0'))
  const BASE64 = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/'

  const fromLatin1 = (text, mask = 0xff) => Array.from(text, (_, n) => text.charCodeAt(n) & mask)
  const fromUtf8 = (text) => fromLatin1(unescape(encodeURIComponent(text)))
  const fromHex = (text) => (/^(?:[0-9a-f]{2})*/i.exec(text)[0].match(/../g) ?? []).map((pair) => parseInt(pair, 16))
  const fromBase64 = (text) => {
    const bytes = []
    let bits = 0
    let count = 0
    for (const digit of text.replace(/-/g, '+').replace(/_/g, '/').replace(/=.*/, '')) {
      const value = BASE64.indexOf(digit)
      if (value < 0) continue
      bits = ((bits << 6) | value) & 0xffff
      count += 6
      if (count >= 8) bytes.push((bits >> (count -= 8)) & 0xff)
    }
    return bytes
  }
  const toLatin1 = (bytes, mask = 0xff) => Array.from(bytes, (byte) => String.fromCharCode(byte & mask)).join('')
  const toUtf8 = (bytes) => {
    try {
      return decodeURIComponent(Array.from(bytes, (byte) => '%' + HEX[byte]).join(''))
    } catch {
      return toLatin1(bytes).replace(/[\x80-\xff]+/g, '\ufffd')
    }
  }
  const toBase64 = (bytes) => {
    let text = ''
    for (let at = 0; at < bytes.length; at += 3) {
      const group = (bytes[at] << 16) | ((bytes[at + 1] ?? 0) << 8) | (bytes[at + 2] ?? 0)
      const digits = [18, 12, 6, 0].map((shift) => BASE64[(group >> shift) & 63]).join('')
      const missing = Math.max(0, at + 3 - bytes.length)
      text += digits.slice(0, 4 - missing) + '=='.slice(0, missing)
    }
    return text
  }
  const ENCODINGS = {
    hex: [fromHex, (bytes) => Array.from(bytes, (byte) => HEX[byte]).join('')],
    base64: [fromBase64, toBase64],
    utf8: [fromUtf8, toUtf8],
    'utf-8': [fromUtf8, toUtf8],
    latin1: [fromLatin1, toLatin1],
    binary: [fromLatin1, toLatin1],
    ascii: [fromLatin1, (bytes) => toLatin1(bytes, 0x7f)],
  }
  const encoding = (name = 'utf8') => {
    const found = ENCODINGS[String(name).toLowerCase()]
    if (found === undefined) throw new TypeError('Unknown encoding: ' + name)
    return found
  }
  const need = (bytes, offset, size) => {
    if (!Number.isInteger(offset) || offset < 0 || offset + size > bytes.length) {
      throw new RangeError('The offset ' + offset + ' is out of range')
    }
  }
  const viewOf = (bytes, offset, size) => {
    need(bytes, offset, size)
    return new DataView(bytes.buffer, bytes.byteOffset + offset, size)
  }

  class Bytes extends Uint8Array {
    slice(start, end) {
      return this.subarray(start, end)
    }
    toString(name, start = 0, end = this.length) {
      return encoding(name)[1](this.subarray(start, end))
    }
    toJSON() {
      return { type: 'Buffer', data: Array.from(this) }
    }
    equals(other) {
      return this.length === other.length && this.every((byte, n) => byte === other[n])
    }
    readUIntBE(offset, size) {
      need(this, offset, size)
      return Array.from(this.subarray(offset, offset + size)).reduce((sum, byte) => sum * 256 + byte, 0)
    }
    readUIntLE(offset, size) {
      need(this, offset, size)
      return Array.from(this.subarray(offset, offset + size)).reduceRight((sum, byte) => sum * 256 + byte, 0)
    }
    readIntBE(offset, size) {
      const value = this.readUIntBE(offset, size)
      return value >= 2 ** (8 * size - 1) ? value - 2 ** (8 * size) : value
    }
    readIntLE(offset, size) {
      const value = this.readUIntLE(offset, size)
      return value >= 2 ** (8 * size - 1) ? value - 2 ** (8 * size) : value
    }
  }
  const define = (name, value) => Object.defineProperty(Bytes.prototype, name, { value, writable: true, configurable: true })
  for (const [kind, of, size] of [
    ['UInt8', 'Uint8', 1], ['Int8', 'Int8', 1], ['UInt16', 'Uint16', 2], ['Int16', 'Int16', 2], ['UInt32', 'Uint32', 4],
    ['Int32', 'Int32', 4], ['Float', 'Float32', 4], ['Double', 'Float64', 8], ['BigUInt64', 'BigUint64', 8],
    ['BigInt64', 'BigInt64', 8],
  ]) {
    for (const [order, little] of size === 1 ? [['', false]] : [['BE', false], ['LE', true]]) {
      for (const spelling of new Set([kind, kind.replace('UInt', 'Uint')])) {
        define('read' + spelling + order, function (offset = 0) {
          return viewOf(this, offset, size)['get' + of](0, little)
        })
        define('write' + spelling + order, function (value, offset = 0) {
          viewOf(this, offset, size)['set' + of](0, value, little)
          return offset + size
        })
      }
    }
  }

  /** Called with new or without, as codecs do. */
  function Buffer(value, nameOrOffset, length) {
    return typeof value === 'number' ? new Bytes(value) : Buffer.from(value, nameOrOffset, length)
  }
  Buffer.prototype = Bytes.prototype
  Buffer.from = (value, nameOrOffset, length) => {
    if (typeof value === 'string') return new Bytes(encoding(nameOrOffset)[0](value))
    if (value instanceof ArrayBuffer) return new Bytes(value, nameOrOffset, length)
    return Bytes.from(value.type === 'Buffer' ? value.data : value)
  }
  Buffer.alloc = (size, fill = 0) => new Bytes(size).fill(fill)
  Buffer.allocUnsafe = (size) => new Bytes(size)
  Buffer.isBuffer = (value) => value instanceof Bytes
  Buffer.byteLength = (value, name) => Buffer.from(value, name).length
  Buffer.concat = (parts) => Bytes.from(parts.flatMap((part) => Array.from(part)))
  globalThis.Buffer = Buffer
})()`
