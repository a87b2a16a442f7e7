import { WireReader, WireWriter } from '../contract/wire.ts'
import { RECEIPT_HASH_BYTES } from './receipt.ts'

/** What names a chain of receipts. */
export interface ChainName {
  readonly bootEpoch: number
  readonly worker: number
}

/** The end of a chain whose worker is gone, and those of its receipts that nobody has acknowledged. */
export interface ChainEnd extends ChainName {
  /** Sequence number and hash of the last receipt; 0 and zeros for a chain without any. */
  readonly sequence: number
  readonly hash: Uint8Array
  readonly receipts: readonly Uint8Array[]
}

/** The same name as text, for maps. */
export function chainKey({ bootEpoch, worker }: ChainName): string {
  return `${bootEpoch}/${worker}`
}

/** Ends of chains as bytes, for the sealed file that an orderly stop leaves behind. */
export function encodeChainEnds(ends: readonly ChainEnd[]): Buffer {
  const writer = new WireWriter(4096).uint32(ends.length)
  for (const end of ends) {
    writer.uint48(end.bootEpoch).uint32(end.worker).uint48(end.sequence).fixed(end.hash).uint32(end.receipts.length)
    for (const receipt of end.receipts) writer.bytes(receipt)
  }
  return writer.finish()
}

/** @throws HsmError frame_malformed */
export function decodeChainEnds(bytes: Buffer): ChainEnd[] {
  const reader = new WireReader(bytes)
  const ends = reader.list(reader.uint32(), () => ({
    bootEpoch: reader.uint48(),
    worker: reader.uint32(),
    sequence: reader.uint48(),
    hash: reader.fixed(RECEIPT_HASH_BYTES),
    receipts: reader.list(reader.uint32(), () => reader.bytes()),
  }))
  reader.end()
  return ends
}
