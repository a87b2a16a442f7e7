/** `frame_size`: a length no such frame has. `frame_type`: another MHDR. `frame_field`: a value that its place cannot hold. */
export type FrameErrorCode = 'frame_size' | 'frame_type' | 'frame_field'

/** A frame, or a field that should go into one, is not what LoRaWAN allows. */
export class FrameError extends Error {
  override readonly name = 'FrameError'
  readonly code: FrameErrorCode
  constructor(code: FrameErrorCode, message: string) {
    super(message)
    this.code = code
  }
}

export type IdentifierErrorCode = 'identifier_malformed'

/** Text or bytes that are no EUI, NetID or DevAddr. */
export class IdentifierError extends Error {
  override readonly name = 'IdentifierError'
  readonly code: IdentifierErrorCode
  constructor(code: IdentifierErrorCode, message: string) {
    super(message)
    this.code = code
  }
}

export type HexErrorCode = 'hex_malformed'

/** Text that is no hexadecimal. The text itself is never part of the message, because it may be a key. */
export class HexError extends Error {
  override readonly name = 'HexError'
  readonly code: HexErrorCode
  constructor(code: HexErrorCode, message: string) {
    super(message)
    this.code = code
  }
}

export type MacVersionErrorCode = 'mac_version_unknown'

/** Text that names no LoRaWAN version known here. */
export class MacVersionError extends Error {
  override readonly name = 'MacVersionError'
  readonly code: MacVersionErrorCode
  constructor(code: MacVersionErrorCode, message: string) {
    super(message)
    this.code = code
  }
}
