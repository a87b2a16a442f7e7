/** Where a member stands in the text of an object: from its name's quote to the end of its value. */
interface MemberPlace {
  readonly name: string
  readonly start: number
  readonly valueStart: number
  readonly end: number
}

/**
 * The text of a JSON object with some members taken out, wherever they stand and however often, and others put at its
 * end. Everything else stays as it was written: numbers beyond what JavaScript counts exactly, order, and spelling.
 * `text` must be an object that JSON.parse has accepted.
 */
export function replaceMembers(
  text: string,
  removed: readonly string[],
  added: Readonly<Record<string, string>>,
): string {
  const kept = membersOf(text).filter(({ name }) => !removed.includes(name))
  const members = [
    ...kept.map(({ start, end }) => text.slice(start, end)),
    ...Object.entries(added).map(([name, value]) => `${JSON.stringify(name)}:${value}`),
  ]
  return `{${members.join(',')}}`
}

/** The text of a member's value, the last one of that name; `text` as in {@link replaceMembers}. */
export function memberText(text: string, wanted: string): string | undefined {
  const place = membersOf(text).findLast(({ name }) => name === wanted)
  return place && text.slice(place.valueStart, place.end)
}

function membersOf(text: string): MemberPlace[] {
  const places: MemberPlace[] = []
  let at = skipSpace(text, text.indexOf('{') + 1)
  while (text[at] === '"') {
    const start = at
    const nameEnd = endOfString(text, start)
    const valueStart = skipSpace(text, skipSpace(text, nameEnd) + 1)
    const end = endOfValue(text, valueStart)
    places.push({ name: String(JSON.parse(text.slice(start, nameEnd))), start, valueStart, end })
    at = skipSpace(text, skipSpace(text, end) + 1)
  }
  return places
}

function skipSpace(text: string, from: number): number {
  let at = from
  while (text[at] === ' ' || text[at] === '\n' || text[at] === '\t' || text[at] === '\r') at += 1
  return at
}

/** Behind the quote that closes the string opened at `start`. */
function endOfString(text: string, start: number): number {
  let at = start + 1
  while (at < text.length && text[at] !== '"') at += text[at] === '\\' ? 2 : 1
  return at + 1
}

/** Without recursion, so that deep nesting costs nothing but its length. */
function endOfValue(text: string, start: number): number {
  let level = 0
  for (let at = start; at < text.length; at += 1) {
    const character = text[at]
    if (character === '"') {
      at = endOfString(text, at) - 1
      if (level === 0) return at + 1
    } else if (character === '{' || character === '[') {
      level += 1
    } else if (character === '}' || character === ']') {
      if (level === 0) return trimEnd(text, at)
      level -= 1
      if (level === 0) return at + 1
    } else if (character === ',' && level === 0) {
      return trimEnd(text, at)
    }
  }
  return text.length
}

/** A number, true, false or null ends where the white space behind it begins. */
function trimEnd(text: string, from: number): number {
  let at = from
  while (/\s/.test(text[at - 1] ?? '')) at -= 1
  return at
}
