import type { Codec } from '@mortise/application-server'
import type { CodecChoice } from '../config.ts'

/** Which codec is a device's: chosen for the device itself, for its profile, or for every device. */
export class CodecChoices {
  readonly #ofDevice = new Map<string, Codec>()
  readonly #ofProfile = new Map<string, Codec>()
  readonly #ofEvery: Codec | undefined

  constructor(choices: readonly CodecChoice[]) {
    for (const { codec, devices, profiles } of choices) {
      for (const devEui of devices) this.#ofDevice.set(devEui.toUpperCase(), codec)
      for (const profile of profiles) this.#ofProfile.set(profile, codec)
    }
    this.#ofEvery = choices.find(({ devices, profiles }) => devices.length === 0 && profiles.length === 0)?.codec
  }

  codecOf(devEui: string, profile: string | undefined): Codec | undefined {
    const ofProfile = profile === undefined ? undefined : this.#ofProfile.get(profile)
    return this.#ofDevice.get(devEui.toUpperCase()) ?? ofProfile ?? this.#ofEvery
  }
}
