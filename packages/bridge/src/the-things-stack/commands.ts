import type { JsonObject } from '@mortise/application-server'
import { type DevEui, parseDevEui } from '@mortise/lorawan'
import { BridgeError } from '../errors.ts'
import {
  base64Member,
  booleanMember,
  type Members,
  malformed,
  objectMember,
  objectsMember,
  readMembers,
  unsignedMember,
} from '../event-json.ts'
import type { DownlinkCommand, Message } from '../sink.ts'
import type { CommandShape } from '../sinks/command-inbox.ts'
import { COMMAND_FILTERS, deviceOfCommandTopic, deviceOfTopic } from './topics.ts'

/** Devices whose DevEUI is remembered. */
const MAX_DEVICES = 100_000

/** In one message. */
const MAX_DOWNLINKS = 100

/** The Things Stack's own suggestion for the identifier of a device. */
const EUI_AS_IDENTIFIER = /^eui-([0-9a-f]{16})$/

/**
 * What applications publish for The Things Stack: `{"downlinks": […]}` on `down/push`. What comes on `down/replace` is
 * queued behind what is there, because no queue in the network is emptied from here.
 *
 * These topics name a device by its identifier, and not by its DevEUI. Which is which tell the readings that passed, and
 * identifiers that have the DevEUI in them.
 */
export class TheThingsStackCommands implements CommandShape {
  readonly filters = COMMAND_FILTERS
  readonly #devices = new Map<string, DevEui>()

  learn({ reading, event }: Message): void {
    const device = deviceOfTopic(event.topic)
    if (reading === undefined || device === undefined || this.#devices.get(device) === reading.devEui) return
    this.#devices.set(device, reading.devEui)
    const [oldest] = this.#devices.keys()
    if (this.#devices.size > MAX_DEVICES && oldest !== undefined) this.#devices.delete(oldest)
  }

  /** @throws {BridgeError} `event_malformed`, `device_unknown` */
  parse(topic: string, body: Uint8Array): readonly DownlinkCommand[] {
    const device = deviceOfCommandTopic(topic)
    if (device === undefined) throw malformed('its topic does not end in /devices/DEVICE/down/push or /down/replace')
    const downlinks = objectsMember(readMembers(body), 'downlinks')
    if (downlinks.length > MAX_DOWNLINKS) throw malformed(`it has more than ${MAX_DOWNLINKS} downlinks`)
    const devEui = this.#devEuiOf(device)
    return downlinks.map((downlink) => commandOf(devEui, downlink))
  }

  #devEuiOf(device: string): DevEui {
    const known = this.#devices.get(device)
    if (known !== undefined) return known
    const [, devEui] = EUI_AS_IDENTIFIER.exec(device.slice(device.lastIndexOf('/') + 1)) ?? []
    if (devEui !== undefined) return parseDevEui(devEui)
    throw new BridgeError(
      'device_unknown',
      'No reading of this device has passed yet, so that its DevEUI is not known.',
    )
  }
}

function commandOf(devEui: DevEui, downlink: Members): DownlinkCommand {
  const fPort = unsignedMember(downlink, 'f_port', 255)
  if (fPort === 0) throw malformed('f_port is not a number of 1 to 255')
  const decoded = objectMember(downlink, 'decoded_payload')
  const raw = base64Member(downlink, 'frm_payload')
  // As in the Application Server: an object is for the codec where there are no bytes.
  if (raw.length === 0 && decoded === undefined) throw malformed('it has neither frm_payload nor decoded_payload')
  const payload = raw.length > 0 || decoded === undefined ? raw : (decoded as JsonObject)
  return { devEui, fPort, confirmed: booleanMember(downlink, 'confirmed'), payload }
}
