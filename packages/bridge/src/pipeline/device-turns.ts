import type { DevEui } from '@mortise/lorawan'

/** Work for one device goes one after the other, in the order in which it was given; devices go side by side. */
export class DeviceTurns {
  readonly #last = new Map<DevEui, Promise<unknown>>()

  run<Result>(devEui: DevEui, work: () => Promise<Result>): Promise<Result> {
    const before = this.#last.get(devEui)
    const turn = before === undefined ? work() : before.then(work, work)
    this.#last.set(devEui, turn)
    const done = (): void => {
      if (this.#last.get(devEui) === turn) this.#last.delete(devEui)
    }
    turn.then(done, done)
    return turn
  }
}
