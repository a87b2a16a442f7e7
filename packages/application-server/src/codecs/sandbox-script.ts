import type { CodecFunction } from './sandbox-messages.ts'

/**
 * Runs inside the sandbox before the codec, and gives the function that calls it. It takes hold of what it needs first,
 * so that a codec that changes JSON or Date spoils its own result alone. Text goes in and text comes out: no object of
 * the sandbox is ever looked at from outside.
 */
export const CALL_SCRIPT = `(() => {
  'use strict'
  const { parse, stringify } = JSON
  const { isView } = ArrayBuffer
  const DateOf = Date
  const ArrayOf = Array
  return (codecFunction, input, resultLength) => {
    const argument = parse(input)
    if (argument.recvTime !== undefined) argument.recvTime = new DateOf(argument.recvTime)
    let result = codecFunction(argument)
    if (typeof result !== 'object' || result === null || typeof result.then === 'function') return undefined
    if (isView(result.bytes)) result = { ...result, bytes: ArrayOf.from(result.bytes) }
    const text = stringify(result)
    return typeof text === 'string' && text.length > resultLength ? text.length : text
  }
})()`

/**
 * Finds the function after the codec has run. \`Decoder\` and \`Encoder\` are what codecs of The Things Network had before
 * TS013; The Things Stack still takes them.
 */
export const FIND_SCRIPT: Record<CodecFunction, string> = {
  decodeUplink: `typeof decodeUplink === 'function' ? decodeUplink
    : typeof Decoder === 'function' ? ({ bytes, fPort }) => ({ data: Decoder(bytes, fPort) }) : undefined`,
  decodeDownlink: `typeof decodeDownlink === 'function' ? decodeDownlink : undefined`,
  encodeDownlink: `typeof encodeDownlink === 'function' ? encodeDownlink
    : typeof Encoder === 'function' ? ({ data, fPort }) => ({ bytes: Encoder(data, fPort), fPort }) : undefined`,
}
