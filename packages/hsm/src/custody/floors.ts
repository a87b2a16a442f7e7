/**
 * The lowest record version still accepted, for every record that was ever changed or removed. Without it an old record,
 * which carries a good tag for ever, would be a way back to an old recipient.
 */
export class Floors {
  readonly #floors: Map<string, number>

  constructor(floors: ReadonlyMap<string, number>) {
    this.#floors = new Map(floors)
  }

  /** Whether a record of this version may still be used. */
  accepts(recordId: Buffer, recordVersion: number): boolean {
    // Most installations change few records: an empty map is not worth a hex conversion on the join path.
    if (this.#floors.size === 0) return true
    const floor = this.#floors.get(recordId.toString('hex'))
    return floor === undefined || recordVersion >= floor
  }

  has(recordIdHex: string): boolean {
    return this.#floors.has(recordIdHex)
  }

  /** A floor never falls, whatever order the news arrives in. */
  raise(recordIdHex: string, floor: number): void {
    this.#floors.set(recordIdHex, Math.max(floor, this.#floors.get(recordIdHex) ?? 0))
  }
}
