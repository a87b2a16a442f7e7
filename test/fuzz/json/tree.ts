import type { Random } from '../random.ts'

/** JSON as it is written, so that it can be written wrongly: members keep their order and may come twice. */
export type JsonNode =
  | { kind: 'object'; members: JsonMember[] }
  | { kind: 'array'; items: JsonNode[] }
  /** Anything else, as written: a string with its quotes, a number, or no JSON at all. */
  | { kind: 'text'; text: string }

export interface JsonMember {
  /** As written, with its quotes. */
  name: string
  value: JsonNode
}

const WHITE_SPACE = ['', ' ', '\t', '\r\n', '\n  ']

export function toTree(value: unknown): JsonNode {
  if (Array.isArray(value)) return { kind: 'array', items: value.map(toTree) }
  if (typeof value !== 'object' || value === null) return textNode(JSON.stringify(value))
  const members = Object.entries(value).flatMap(([name, member]: [string, unknown]) =>
    member === undefined ? [] : [{ name: JSON.stringify(name), value: toTree(member) }],
  )
  return { kind: 'object', members }
}

export function textNode(text: string): JsonNode {
  return { kind: 'text', text }
}

export function render(node: JsonNode): string {
  switch (node.kind) {
    case 'text':
      return node.text
    case 'array':
      return `[${node.items.map(render).join(',')}]`
    case 'object':
      return `{${node.members.map(({ name, value }) => `${name}:${render(value)}`).join(',')}}`
  }
}

/** The same value in another text: members in another order, white space, characters escaped. */
export function renderOddly(random: Random, node: JsonNode): string {
  const space = (): string => (random.chance(0.2) ? random.pick(WHITE_SPACE) : '')
  switch (node.kind) {
    case 'text':
      return random.chance(0.1) ? escaped(random, node.text) : node.text
    case 'array':
      return `[${node.items.map((item) => space() + renderOddly(random, item) + space()).join(',')}]`
    case 'object': {
      const members = random.shuffled(node.members).map(({ name, value }) => {
        const written = random.chance(0.1) ? escaped(random, name) : name
        return `${space()}${written}${space()}:${space()}${renderOddly(random, value)}${space()}`
      })
      return `{${members.join(',')}}`
    }
  }
}

/** Every node of the tree, the root first. */
export function nodesOf(node: JsonNode): JsonNode[] {
  if (node.kind === 'array') return [node, ...node.items.flatMap(nodesOf)]
  if (node.kind === 'object') return [node, ...node.members.flatMap(({ value }) => nodesOf(value))]
  return [node]
}

/** Some letters of a string as \uXXXX; anything but a string stays. */
function escaped(random: Random, text: string): string {
  if (!/^"[^"\\]*"$/.test(text)) return text
  const letters = Array.from(text.slice(1, -1), (letter) => {
    if (letter.length !== 1 || random.chance(0.7)) return letter
    return `\\u${letter.charCodeAt(0).toString(16).padStart(4, '0')}`
  })
  return `"${letters.join('')}"`
}
