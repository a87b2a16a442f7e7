import type { ReceivedEvent } from '../../src/network-event.ts'
import { devEuiOf, join, uplink } from '../pipeline/world.ts'
import type { Random } from './random.ts'

const DEVICES = 20

interface Device {
  session: number
  fCnt: number
}

/** What devices do: uplinks, one after the other, some heard twice; now and then a join and with it a new session. */
export class Load {
  readonly #random: Random
  readonly #devices: Device[] = Array.from({ length: DEVICES }, () => ({ session: 1, fCnt: 0 }))
  /** The text of every uplink, which no other has. */
  readonly texts = new Set<string>()

  constructor(random: Random) {
    this.#random = random
  }

  /** The next events, in the order in which the network sends them. */
  next(): ReceivedEvent[] {
    const number = this.#random.below(DEVICES)
    const device = this.#devices[number]
    if (device === undefined) return []
    const events: ReceivedEvent[] = []
    if (this.#random.chance(0.005)) {
      device.session = (device.session + 1) % 256
      device.fCnt = 0
      events.push(join(number, device.session, this.texts.size))
    }
    const { session, fCnt } = device
    const text = `${number}/${session}/${this.texts.size}`
    device.fCnt++
    this.texts.add(text)
    events.push(uplink(number, session, fCnt, { text }))
    if (this.#random.chance(0.05)) events.push(uplink(number, session, fCnt, { text, copy: 1 }))
    return events
  }

  /** A device that has sent something. */
  device(): string {
    return devEuiOf(this.#devices.findIndex(({ fCnt, session }) => fCnt > 0 || session > 1))
  }
}
