import { ApplicationServerError } from './errors.ts'
import { Secret } from './secret.ts'

const APP_S_KEY_SIZE = 16

/** The session key that payloads are encrypted under, known to the device and to its owner. */
export class AppSKey extends Secret {
  /** Copies 16 bytes. @throws {ApplicationServerError} `app_s_key_size` */
  constructor(bytes: Uint8Array) {
    if (bytes.length !== APP_S_KEY_SIZE) {
      throw new ApplicationServerError('app_s_key_size', `An AppSKey has 16 bytes, not ${bytes.length}.`)
    }
    super(bytes)
  }
}
