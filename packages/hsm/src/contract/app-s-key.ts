import { WireReader, WireWriter } from './wire.ts'

/** AppSKeyReq: the AppSKey of a session, wrapped anew for an application server that the device record names. */
export interface ReleaseAppSKeyCommand {
  readonly deviceRecord: Buffer
  readonly sessionRecord: Buffer
  readonly asKekRecord: Buffer
}

export interface ReleasedAppSKey {
  /** AES-KW under the AS KEK, 24 bytes. */
  readonly appSKey: Buffer
  readonly receipt: Buffer
}

export function encodeReleaseAppSKey(command: ReleaseAppSKeyCommand): Buffer {
  return new WireWriter().bytes(command.deviceRecord).bytes(command.sessionRecord).bytes(command.asKekRecord).finish()
}

export function decodeReleaseAppSKey(payload: Buffer): ReleaseAppSKeyCommand {
  const reader = new WireReader(payload)
  const command = { deviceRecord: reader.bytes(), sessionRecord: reader.bytes(), asKekRecord: reader.bytes() }
  reader.end()
  return command
}

export function encodeReleasedAppSKey(answer: ReleasedAppSKey): Buffer {
  return new WireWriter().bytes(answer.appSKey).bytes(answer.receipt).finish()
}

export function decodeReleasedAppSKey(payload: Buffer): ReleasedAppSKey {
  const reader = new WireReader(payload)
  const answer = { appSKey: reader.bytes(), receipt: reader.bytes() }
  reader.end()
  return answer
}
