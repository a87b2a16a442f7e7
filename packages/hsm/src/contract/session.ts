import { hsmErrorFromNumber, hsmErrorNumber, HsmError } from '../errors.ts'
import { WireReader, WireWriter } from './wire.ts'

/** First frame on a connection to a worker. */
export interface Hello {
  /** The highest epoch that the database has seen: a store below it has been rolled back. */
  readonly knownEpoch: number
}

/** Public facts about the HSM, and which worker answers on this connection. */
export interface Welcome {
  readonly hsmId: Buffer
  readonly backend: 'soft' | 'pkcs11'
  /** Epoch of the sealed store now. */
  readonly epoch: number
  /** When the HSM process was unsealed, milliseconds since 1970, made to rise: names the receipt chains together with `worker`. */
  readonly bootEpoch: number
  readonly worker: number
  /** How many workers there are: open as many connections. */
  readonly workers: number
  /** SPKI, DER. */
  readonly importPublicKey: Buffer
  readonly receiptPublicKey: Buffer
  readonly operatorPublicKey: Buffer
  /** Highest sequence number that the operator key has used. */
  readonly lastSequence: number
}

export function encodeHello(hello: Hello): Buffer {
  return new WireWriter(8).uint48(hello.knownEpoch).finish()
}

export function decodeHello(payload: Buffer): Hello {
  const reader = new WireReader(payload)
  const hello = { knownEpoch: reader.uint48() }
  reader.end()
  return hello
}

export function encodeWelcome(welcome: Welcome): Buffer {
  return new WireWriter(1024)
    .fixed(welcome.hsmId)
    .uint8(welcome.backend === 'soft' ? 1 : 2)
    .uint48(welcome.epoch)
    .uint48(welcome.bootEpoch)
    .uint32(welcome.worker)
    .uint16(welcome.workers)
    .bytes(welcome.importPublicKey)
    .bytes(welcome.receiptPublicKey)
    .bytes(welcome.operatorPublicKey)
    .uint48(welcome.lastSequence)
    .finish()
}

export function decodeWelcome(payload: Buffer): Welcome {
  const reader = new WireReader(payload)
  const welcome: Welcome = {
    hsmId: reader.fixed(8),
    backend: decodeBackend(reader.uint8()),
    epoch: reader.uint48(),
    bootEpoch: reader.uint48(),
    worker: reader.uint32(),
    workers: reader.uint16(),
    importPublicKey: reader.bytes(),
    receiptPublicKey: reader.bytes(),
    operatorPublicKey: reader.bytes(),
    lastSequence: reader.uint48(),
  }
  reader.end()
  return welcome
}

function decodeBackend(number: number): Welcome['backend'] {
  if (number !== 1 && number !== 2) throw new HsmError('frame_malformed', 'back end')
  return number === 1 ? 'soft' : 'pkcs11'
}

/** A refusal: code as a number of `HSM_ERROR_CODES`, and a detail without secrets. */
export function encodeRefusal(error: HsmError): Buffer {
  return new WireWriter(128)
    .uint8(hsmErrorNumber(error.code))
    .text(error.detail ?? '')
    .finish()
}

export function decodeRefusal(payload: Buffer): HsmError {
  const reader = new WireReader(payload)
  const code = hsmErrorFromNumber(reader.uint8())
  const detail = reader.text()
  reader.end()
  return new HsmError(code, detail === '' ? undefined : detail)
}
