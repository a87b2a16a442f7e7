/** `node packages/application-server/scripts/bench-codecs.ts`: calls of a codec a second, in one sandbox. */
import { type Codec, PayloadCodecs } from '../src/index.ts'

const SECONDS = 5

const small: Codec = {
  name: 'a small codec',
  source: 'function decodeUplink({ bytes }) { return { data: { open: bytes[0] === 1, battery: bytes[1] / 100 } } }',
}
const helpers = Array.from({ length: 500 }, (_, n) => `function helper${n}(b) { return (b[0] << 8 | b[1]) + ${n} }`)
const large: Codec = { name: 'a codec of 27 KB', source: `${helpers.join('\n')}\n${small.source}` }
const buffers: Codec = {
  name: 'a codec with Buffer',
  source: 'function decodeUplink({ bytes }) { return { data: { n: Buffer.from(bytes).readUInt16BE(0) } } }',
}

await using codecs = new PayloadCodecs()
for (const codec of [small, large, buffers]) {
  const until = performance.now() + SECONDS * 1000
  let calls = 0
  for (; performance.now() < until; calls++) {
    await codecs.decodeUplink(codec, { bytes: Uint8Array.of(1, 98), fPort: 2 })
  }
  console.log(`${codec.name}: ${Math.round(calls / SECONDS)} calls/s`)
}
