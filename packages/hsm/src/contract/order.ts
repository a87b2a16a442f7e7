import { HsmError } from '../errors.ts'
import { WireReader, WireWriter } from './wire.ts'

export const MAX_SIGNATURES = 16

export interface OrderSignature {
  /** Id of the signing key: the first 16 bytes of SHA-256 over its SPKI. */
  readonly signer: Buffer
  /** Ed25519, 64 bytes, over the order's text. */
  readonly signature: Buffer
}

/** A signed order with what it needs: the envelope of its keys, and the records that it replaces or removes. */
export interface ApplyOrderCommand {
  readonly text: Buffer
  readonly signatures: readonly OrderSignature[]
  readonly envelope: Buffer | undefined
  readonly records: readonly Buffer[]
}

/** A record that an order made, or removed when `record` is absent. */
export interface RecordChange {
  readonly kind: 'device' | 'kek'
  readonly id: Buffer
  readonly record: Buffer | undefined
}

export interface AppliedOrder {
  readonly changes: readonly RecordChange[]
  /** Epoch of the sealed store after the order. */
  readonly epoch: number
  readonly receipt: Buffer
}

export function encodeApplyOrder(command: ApplyOrderCommand): Buffer {
  const writer = new WireWriter(4096).bytes(command.text).uint8(command.signatures.length)
  for (const { signer, signature } of command.signatures) writer.fixed(signer).fixed(signature)
  writer.bytes(command.envelope).uint16(command.records.length)
  for (const record of command.records) writer.bytes(record)
  return writer.finish()
}

export function decodeApplyOrder(payload: Buffer): ApplyOrderCommand {
  const reader = new WireReader(payload)
  const text = reader.bytes()
  const signatureCount = reader.uint8()
  if (signatureCount > MAX_SIGNATURES) throw new HsmError('frame_malformed', 'signatures')
  const signatures = reader.list(signatureCount, () => ({
    signer: reader.fixed(16),
    signature: reader.fixed(64),
  }))
  const envelope = reader.optionalBytes()
  const records = reader.list(reader.uint16(), () => reader.bytes())
  reader.end()
  return { text, signatures, envelope, records }
}

export function encodeAppliedOrder(answer: AppliedOrder): Buffer {
  const writer = new WireWriter(4096).uint16(answer.changes.length)
  for (const { kind, id, record } of answer.changes)
    writer
      .uint8(kind === 'device' ? 1 : 2)
      .fixed(id)
      .bytes(record)
  return writer.uint48(answer.epoch).bytes(answer.receipt).finish()
}

export function decodeAppliedOrder(payload: Buffer): AppliedOrder {
  const reader = new WireReader(payload)
  const changes = reader.list(
    reader.uint16(),
    (): RecordChange => ({
      kind: decodeKind(reader.uint8()),
      id: reader.fixed(16),
      record: reader.optionalBytes(),
    }),
  )
  const answer = { changes, epoch: reader.uint48(), receipt: reader.bytes() }
  reader.end()
  return answer
}

function decodeKind(number: number): RecordChange['kind'] {
  if (number !== 1 && number !== 2) throw new HsmError('frame_malformed', 'record kind')
  return number === 1 ? 'device' : 'kek'
}

/** Says that an order's outcome is durable in the database: its records need not be kept for a repetition. */
export function encodeAcknowledgeOrder(signer: Buffer, sequence: number): Buffer {
  return new WireWriter(32).fixed(signer).uint48(sequence).finish()
}

export function decodeAcknowledgeOrder(payload: Buffer): { signer: Buffer; sequence: number } {
  const reader = new WireReader(payload)
  const acknowledged = { signer: reader.fixed(16), sequence: reader.uint48() }
  reader.end()
  return acknowledged
}
