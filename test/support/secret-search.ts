/** Secrets by name; each is looked for in every form in which bytes get about. */
export type Secrets = ReadonlyMap<string, Buffer>

/** One look at the text takes this many bytes, at every such place: so a form must be twice as long, less one. */
const LOOK = 8
const SHORTEST_FORM = 2 * LOOK - 1
const TABLE_BITS = 20

interface Pattern {
  /** `AppKey (hex)`: which secret, and in which form. */
  readonly name: string
  readonly bytes: Buffer
}

/**
 * Looks for all forms of all secrets in one pass: every eighth place of the text is looked up in a table of the eight
 * bytes that stand there in some form, and only where that hits is the whole form compared.
 */
export class SecretSearch {
  readonly longest: number
  /** Patterns by the hash of eight of their bytes, each with the offset of those. */
  readonly #table = new Map<number, { readonly pattern: Pattern; readonly offset: number }[]>()
  readonly #filter = new Uint8Array(1 << TABLE_BITS)

  /** @throws when a form is too short to be found */
  constructor(secrets: Secrets) {
    const patterns = Array.from(secrets, ([name, secret]) => formsOf(name, secret)).flat()
    this.longest = Math.max(0, ...patterns.map(({ bytes }) => bytes.length))
    for (const pattern of patterns) this.#enter(pattern)
  }

  /** Names and forms of the secrets in `text`, without repetitions, in order of the alphabet. */
  find(text: Buffer): string[] {
    const found = new Set<string>()
    // Views of 32 bits need an aligned start.
    const aligned = text.byteOffset % 4 === 0 ? text : Buffer.from(new Uint8Array(text).buffer)
    const words = new Int32Array(aligned.buffer, aligned.byteOffset, aligned.length >> 2)
    for (let i = 0; i + 1 < words.length; i += 2) {
      const hash = hashOf(words[i] ?? 0, words[i + 1] ?? 0)
      if (this.#filter[hash] === 0) continue
      for (const { pattern, offset } of this.#table.get(hash) ?? [])
        if (standsAt(aligned, 4 * i - offset, pattern.bytes)) found.add(pattern.name)
    }
    return [...found].sort()
  }

  /** The same in a text of people, where a form may stand over several lines, as base64 does in PEM. */
  findInText(text: string | Buffer): string[] {
    const bytes = Buffer.from(text)
    const joined = Buffer.from(bytes.toString('latin1').replaceAll(/[\r\n]+ */g, ''), 'latin1')
    return [...new Set([...this.find(bytes), ...this.find(joined)])].sort()
  }

  #enter(pattern: Pattern): void {
    const { name, bytes } = pattern
    if (bytes.length < SHORTEST_FORM) throw new Error(`${name} has ${bytes.length} bytes: too short to be looked for`)
    for (let offset = 0; offset < LOOK; offset++) {
      const hash = hashOf(bytes.readInt32LE(offset), bytes.readInt32LE(offset + 4))
      const entries = this.#table.get(hash)
      if (entries === undefined) this.#table.set(hash, [{ pattern, offset }])
      else entries.push({ pattern, offset })
      this.#filter[hash] = 1
    }
  }
}

function hashOf(first: number, second: number): number {
  return (Math.imul(first, 0x9e3779b1) ^ Math.imul(second, 0x85ebca77)) >>> (32 - TABLE_BITS)
}

function standsAt(text: Buffer, start: number, bytes: Buffer): boolean {
  const end = start + bytes.length
  return start >= 0 && end <= text.length && text.compare(bytes, 0, bytes.length, start, end) === 0
}

/**
 * The forms of a secret: its bytes, also turned round (keys are written little-endian now and then); hex in both cases,
 * also with separators; base64 and base64url, also from within a longer text; lists of decimal numbers, as JSON and
 * `console.log` write bytes; each text also in UTF-16, as V8 keeps some strings.
 */
function formsOf(name: string, secret: Buffer): Pattern[] {
  const reversed = Buffer.from(secret.toReversed())
  return [
    { name: `${name} (raw)`, bytes: secret },
    { name: `${name} (reversed)`, bytes: reversed },
    // A passphrase in a string of two bytes a character; of a key that is no form that anything makes.
    { name: `${name} (UTF-16)`, bytes: Buffer.from(secret.toString('latin1'), 'utf16le') },
    ...textForms(name, secret),
    ...textForms(`${name} reversed`, reversed),
  ]
}

function textForms(name: string, secret: Buffer): Pattern[] {
  const digits = Array.from(secret, (byte) => byte.toString(16).padStart(2, '0'))
  const texts = [
    ...[digits.join(''), digits.join(' '), digits.join(':'), digits.map((pair) => `\\x${pair}`).join('')].flatMap(
      (text) =>
        // `\X` is no escape.
        [text, text.toUpperCase().replaceAll('\\X', '\\x')].map((cased): [string, string] => ['hex', cased]),
    ),
    ...base64Texts(secret).map((text): [string, string] => ['base64', text]),
    ['decimal', secret.join(',')] as const,
    ['decimal', secret.join(', ')] as const,
  ]
  return texts.flatMap(([form, text]) => [
    { name: `${name} (${form})`, bytes: Buffer.from(text, 'latin1') },
    { name: `${name} (${form}, UTF-16)`, bytes: Buffer.from(text, 'utf16le') },
  ])
}

/** Base64 at each of the three places where bytes can begin in it, without the characters that depend on neighbours. */
function base64Texts(secret: Buffer): string[] {
  return [0, 1, 2].flatMap((before) => {
    const bits = 8 * before
    const whole = Buffer.concat([Buffer.alloc(before), secret])
    const first = Math.ceil(bits / 6)
    const last = Math.floor((8 * whole.length) / 6)
    return [whole.toString('base64').slice(first, last), whole.toString('base64url').slice(first, last)]
  })
}
