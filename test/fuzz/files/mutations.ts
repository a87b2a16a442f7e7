import { mutateTree } from '../json/mutate-tree.ts'
import { render, renderOddly, toTree } from '../json/tree.ts'
import { flipBit, mutateBytes, replaced } from '../mutate-bytes.ts'
import type { Random } from '../random.ts'

type Mutate = (random: Random, seed: Buffer, seeds: readonly Buffer[]) => Buffer

const YAML_PIECES = [
  '---\n',
  '...\n',
  '? ',
  '- ',
  ': ',
  '  ',
  '\t',
  '# ',
  '&a ',
  '*a',
  '<<: *a\n',
  '!!str ',
  '!!binary ',
  '!!set ',
  '!<tag:yaml.org,2002:js/function> ',
  '%YAML 1.1\n---\n',
  '|\n  ',
  '>\n  ',
  '{a: [',
  ']}',
  '"\\x',
  '__proto__: {workers: 1}\n',
  'constructor: x\n',
  'workers: 0x10\n',
  'workers: 1e400\n',
  'workers: .inf\n',
  'workers: 1_000\n',
  'passphraseFile: [x]\n',
  'biPath: [[/]]\n',
  'hsmSocket: "\\0x"\n',
  '\uFEFF',
  '\u2028',
  'a: &a [x,x,x]\nb: &b [*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b]\nd: &d [*c,*c,*c,*c]\ne: [*d,*d,*d,*d]\n',
]
const MAX_DEPTH = 20_000
const LARGE_SIZES = [70_000, 1_200_000, 20_000_000]

/** A JSON file: its structure, its text, or its bytes. */
export const mutateJson: Mutate = (random, seed, seeds) => {
  if (random.chance(0.25)) return mutateBytes(random, seed, seeds)
  if (random.chance(0.02)) return deep(random)
  const tree = toTree(JSON.parse(seed.toString()))
  if (random.chance(0.05)) return Buffer.from(renderOddly(random, tree))
  mutateTree(random, tree)
  return Buffer.from(random.chance(0.2) ? renderOddly(random, tree) : render(tree))
}

/** A file of JSON lines: some lines damaged, repeated, joined, or with other line ends. */
export const mutateLines: Mutate = (random, seed, seeds) => {
  if (random.chance(0.15)) return mutateBytes(random, seed, seeds)
  const lines = seed
    .toString()
    .split('\n')
    .filter((line) => line !== '')
  const chosen = random.below(lines.length)
  const damaged = lines.map((line, index) =>
    index === chosen ? mutateJson(random, Buffer.from(line), seeds).toString() : line,
  )
  const more = random.chance(0.2) ? [random.pick(damaged)] : []
  return Buffer.from([...damaged, ...more].join(random.pick(['\n', '\n', '\n', '\r\n', '\n\n', '\r', '\0'])))
}

export const mutateYaml: Mutate = (random, seed, seeds) => {
  if (random.chance(0.2)) return mutateBytes(random, seed, seeds)
  if (random.chance(0.01)) return deep(random)
  let mutated = seed
  do mutated = replaced(mutated, lineStart(random, mutated), 0, Buffer.from(random.pick(YAML_PIECES)))
  while (random.chance(0.5))
  return mutated
}

/** A file of one line: of other sizes, with other ends, in another alphabet. */
export const mutateLine: Mutate = (random, seed, seeds) => {
  const text = seed.toString('latin1').trim()
  if (random.chance(0.002)) return Buffer.alloc(random.pick(LARGE_SIZES), text)
  return random.weighted<() => Buffer>([
    [6, () => mutateBytes(random, seed, seeds)],
    [2, () => Buffer.from(text + random.pick(['', '\n', '\r\n', '\r', '\n\n', ' ', '\0']))],
    [2, () => Buffer.from(text.slice(0, random.below(text.length + 1)))],
    [1, () => Buffer.from(text + text)],
    [1, () => Buffer.from(random.pick(['0x', ' ', '\uFEFF', '\n', '-', '+']) + text)],
    [1, () => Buffer.from(text.toUpperCase())],
    [1, () => Buffer.from('0'.repeat(text.length))],
  ])()
}

/** A binary file: mostly one bit, so that nothing can be said to be damaged beyond notice. */
export const mutateBinary: Mutate = (random, seed, seeds) =>
  random.chance(0.5) ? flipBit(random, seed) : mutateBytes(random, seed, seeds)

/** As deep as a file of a few kilobytes can be. */
function deep(random: Random): Buffer {
  const [open, close] = random.pick([
    ['[', ']'] as const,
    ['{"a":', '}'] as const,
    ['{a: ', '}'] as const,
    ['- ', ''] as const,
  ])
  const depth = random.between(1, MAX_DEPTH)
  return Buffer.from(`${open.repeat(depth)}1${close.repeat(depth)}`)
}

function lineStart(random: Random, bytes: Buffer): number {
  const at = random.below(bytes.length + 1)
  return random.chance(0.6) ? bytes.lastIndexOf(0x0a, at) + 1 : at
}
