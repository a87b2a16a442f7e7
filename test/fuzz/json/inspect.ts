const TOKEN = /"(?:[^"\\]|\\.)*"|[{}[\]:]/gs

/** What JSON.parse does not tell of a text that it accepts. */
export interface JsonShape {
  /** Levels of objects and arrays. */
  readonly depth: number
  /** Whether one object has a member name twice. */
  readonly repeats: boolean
}

/** Reads the tokens of a text that JSON.parse accepts, without recursion. */
export function inspectJson(text: string): JsonShape {
  const names: (Set<string> | undefined)[] = []
  let depth = 0
  let repeats = false
  let last = ''
  for (const [token] of text.matchAll(TOKEN)) {
    if (token === '{' || token === '[') {
      names.push(token === '{' ? new Set() : undefined)
      depth = Math.max(depth, names.length)
    } else if (token === '}' || token === ']') {
      names.pop()
    } else if (token === ':') {
      const name = JSON.parse(last) as string
      const seen = names.at(-1)
      repeats ||= seen?.has(name) === true
      seen?.add(name)
    } else {
      last = token
    }
  }
  return { depth, repeats }
}
