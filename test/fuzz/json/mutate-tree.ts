import type { Random } from '../random.ts'
import { type JsonMember, type JsonNode, nodesOf, render, textNode } from './tree.ts'

const NUMBERS = [
  '0',
  '-0',
  '-1',
  '1',
  '15',
  '16',
  '255',
  '1.5',
  '1e3',
  '4294967295',
  '4294967296',
  '9007199254740993',
  '1e400',
  '-1e400',
  '1e-400',
  '00',
  '+1',
  '.5',
  '0x10',
  'NaN',
  'Infinity',
  `1${'0'.repeat(400)}`,
]
const STRINGS = [
  '""',
  '" "',
  '"null"',
  '"\\ud800"',
  '"\\udfff\\ud800"',
  '"\\u0000"',
  '"\\uFEFF"',
  '"\u2028"',
  '"é"',
  '"🔑"',
  '"0x"',
  '"0X0x"',
  '"constructor"',
  '"__proto__"',
  '"<script>"',
  '"%s%n"',
  '"\\/etc\\/passwd"',
  `"${'a'.repeat(300)}"`,
  `"${'0'.repeat(5000)}"`,
]
const LITERALS = ['null', 'true', 'false', '[]', '{}', '[[]]', '[null]', '{"":0}']
const NOT_JSON = ['', 'undefined', "'x'", '"', '"\\x"', '"\\u12"', '"\t"', '[', ']', '{', '}', ',', ':', '//', 'nul']
const NAMES = ['"__proto__"', '"constructor"', '"toString"', '""', '"\\u0000"', '"\\ud800"', '"hasOwnProperty"']
const DEEPEST = 400

type Mutation = (random: Random, root: JsonNode) => void

const MUTATIONS: readonly (readonly [number, Mutation])[] = [
  [16, changeString],
  [12, replaceNode],
  [6, removeMember],
  [5, repeatMember],
  [5, renameMember],
  [5, addMember],
  [1, nameByValue],
  [3, nest],
  [3, moveMember],
  [3, (random, root) => overwrite(random.pick(nodesOf(root)), textNode(random.pick(NOT_JSON)))],
]

/** Changes a tree in place, once or a few times. */
export function mutateTree(random: Random, root: JsonNode): void {
  do random.weighted(MUTATIONS)(random, root)
  while (random.chance(0.3))
}

/** What may stand in the place of any value. */
export function oddValue(random: Random): string {
  const choices: readonly (readonly [number, readonly string[]])[] = [
    [3, NUMBERS],
    [3, STRINGS],
    [2, LITERALS],
  ]
  return random.pick(random.weighted(choices))
}

/** One damage to the text inside of a string: hex of odd length, another case, a prefix, a size, an alphabet. */
export function mutateString(random: Random, text: string): string {
  const at = random.below(text.length + 1)
  const one = random.below(Math.max(1, text.length))
  return random.weighted<() => string>([
    [4, () => text.slice(0, one) + text.slice(one + 1)],
    [3, () => text.slice(0, at) + random.pick(['0', '00', 'f', 'g', ' ', '-', 'é', '\u0660']) + text.slice(at)],
    [3, () => text.slice(0, one) + random.below(16).toString(16) + text.slice(one + 1)],
    [3, () => `${random.pick(['0x', '0X', '0x0x', ' ', 'x', '\\\\u0030'])}${text}`],
    [3, () => text.toUpperCase()],
    [2, () => text.slice(0, 2 * random.below(text.length / 2 + 1))],
    [2, () => text + text],
    [2, () => text + random.pick([' ', '\\n', '\\u0000', '00', '0'])],
    [1, () => ''],
    [1, () => Array.from(text).reverse().join('')],
    [1, () => text.repeat(random.between(2, 40))],
  ])()
}

function changeString(random: Random, root: JsonNode): void {
  const strings = nodesOf(root).filter((node) => node.kind === 'text' && /^"[^"\\]*"$/.test(node.text))
  if (strings.length === 0) return
  const node = random.pick(strings)
  if (node.kind === 'text') node.text = `"${mutateString(random, node.text.slice(1, -1))}"`
}

function replaceNode(random: Random, root: JsonNode): void {
  const nodes = nodesOf(root)
  const node = nodes.length > 1 && random.chance(0.97) ? random.pick(nodes.slice(1)) : root
  overwrite(node, textNode(random.chance(0.8) ? oddValue(random) : render(random.pick(nodes))))
}

function removeMember(random: Random, root: JsonNode): void {
  const members = someMembers(random, root)
  members?.splice(random.below(members.length), 1)
}

/** The same member again, with the same value or another one, before or after the first. */
function repeatMember(random: Random, root: JsonNode): void {
  const members = someMembers(random, root)
  if (members === undefined) return
  const { name, value } = random.pick(members)
  const again = random.chance(0.5) ? structuredClone(value) : textNode(oddValue(random))
  members.splice(random.below(members.length + 1), 0, { name, value: again })
}

function renameMember(random: Random, root: JsonNode): void {
  const members = someMembers(random, root)
  if (members === undefined) return
  const member = random.pick(members)
  const name = member.name.slice(1, -1)
  member.name = random.chance(0.3) ? random.pick(NAMES) : `"${mutateString(random, name)}"`
}

/** A value in the place of its name: whoever tells an unknown name tells the value. */
function nameByValue(random: Random, root: JsonNode): void {
  const members = someMembers(random, root)
  if (members === undefined) return
  const member = random.pick(members)
  if (member.value.kind === 'text' && member.value.text.startsWith('"')) member.name = member.value.text
}

function addMember(random: Random, root: JsonNode): void {
  const members = someMembers(random, root)
  const name = random.chance(0.6) ? random.pick(NAMES) : `"X${random.below(1000)}"`
  const value = textNode(random.chance(0.7) ? oddValue(random) : nested(random, '0'))
  members?.splice(random.below(members.length + 1), 0, { name, value })
}

/** A value inside of many others. */
function nest(random: Random, root: JsonNode): void {
  const node = random.pick(nodesOf(root))
  overwrite(node, textNode(nested(random, render(node))))
}

/** Mostly about as deep as a message may be, and sometimes much deeper. */
function nested(random: Random, text: string): string {
  const depth = random.chance(0.6) ? random.between(12, 18) : random.between(1, DEEPEST)
  const [open, close] = random.pick([['[', ']'] as const, ['{"a":', '}'] as const])
  return open.repeat(depth) + text + close.repeat(depth)
}

function moveMember(random: Random, root: JsonNode): void {
  const members = someMembers(random, root)
  if (members === undefined) return
  const [one, other] = [random.pick(members), random.pick(members)]
  const { value } = one
  one.value = other.value
  other.value = value
}

function someMembers(random: Random, root: JsonNode): JsonMember[] | undefined {
  const lists = nodesOf(root).flatMap((node) =>
    node.kind === 'object' && node.members.length > 0 ? [node.members] : [],
  )
  return lists.length === 0 ? undefined : random.pick(lists)
}

function overwrite(node: JsonNode, by: JsonNode): void {
  Object.assign(node, by)
}
