/** What a receiver got: `name` says which uplink it is, `text` what it holds. */
export interface Arrival {
  readonly name: string
  readonly text: string
  /** How often the bridge had been killed before. */
  readonly life: number
}

/** Of what was sent, what never arrived. */
export function missing(sent: ReadonlySet<string>, arrivals: readonly Arrival[]): string[] {
  const arrived = new Set(arrivals.map(({ text }) => text))
  return [...sent].filter((text) => !arrived.has(text))
}

export interface Repetitions {
  /** How many arrived once more, by the life of the bridge in which they did. */
  readonly perLife: ReadonlyMap<number, number>
  /** Names that came with another content, and contents that came under another name. */
  readonly wrong: readonly string[]
}

export function repetitions(arrivals: readonly Arrival[]): Repetitions {
  const texts = new Map<string, string>()
  const names = new Map<string, string>()
  const perLife = new Map<number, number>()
  const wrong: string[] = []
  for (const { name, text, life } of arrivals) {
    if (texts.has(name)) perLife.set(life, (perLife.get(life) ?? 0) + 1)
    if ((texts.get(name) ?? text) !== text || (names.get(text) ?? name) !== name) wrong.push(name)
    texts.set(name, text)
    names.set(text, name)
  }
  return { perLife, wrong }
}

/** Counters under which two different ciphertexts were sent. */
export function usedTwice(downlinks: readonly { readonly counter: string; readonly frmPayload: string }[]): string[] {
  const first = new Map<string, string>()
  return downlinks.flatMap(({ counter, frmPayload }) => {
    const before = first.get(counter)
    first.set(counter, before ?? frmPayload)
    return before === undefined || before === frmPayload ? [] : [counter]
  })
}

/**
 * Lives of the bridge up to which more was repeated than was in flight at so many kills. What one kill left may be
 * repeated some lives later, if those between ended before they did anything.
 */
export function moreThanInFlight(perLife: ReadonlyMap<number, number>, window: number): number[] {
  let sum = 0
  return [...perLife]
    .sort(([one], [other]) => one - other)
    .filter(([life, count]) => (sum += count) > life * window)
    .map(([life]) => life)
}
