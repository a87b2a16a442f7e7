import { AES_BLOCK_SIZE, type BlockCipher } from './aes.ts'
import { type Direction, MAX_PHY_PAYLOAD_SIZE } from './data-frame.ts'
import { FrameError } from './errors.ts'
import { type DevAddr, devAddrToWire } from './identifiers.ts'
import { computeMic, MIC_SIZE } from './mic.ts'
import { writeUint } from './wire.ts'

/** What a 1.1 MIC covers beside the frame. */
export interface DataMic11DownInputs {
  /** The counter of the confirmed frame that this one acknowledges, of which the low 16 bits count; 0 without ACK. */
  readonly confFCnt: number
  readonly devAddr: DevAddr
  /** 32 bits. */
  readonly fCnt: number
}

export interface DataMic11UpInputs extends DataMic11DownInputs {
  /** The index of the uplink's data rate. */
  readonly txDr: number
  /** The index of the uplink's channel. */
  readonly txCh: number
}

/**
 * The MIC of 1.0.x frames under NwkSKey (LoRaWAN 1.0.3 §4.4), 4 bytes. `bytes` is the frame from MHDR to the end of
 * FRMPayload, `fCnt32` the full counter.
 * @throws {FrameError} `frame_field`: fCnt32 above 32 bits. `frame_size`: longer than a frame can be.
 */
export function dataMic10(
  cipher: BlockCipher,
  direction: Direction,
  devAddr: DevAddr,
  fCnt32: number,
  bytes: Uint8Array,
): Uint8Array {
  return computeMic(cipher, withBlock(micBlock(direction, devAddr, fCnt32, bytes.length), bytes))
}

/**
 * The MIC of a 1.1 uplink (LoRaWAN 1.1 §4.4): two bytes under SNwkSIntKey, which also cover what the serving network
 * alone knows, then two under FNwkSIntKey, which a forwarding network can check.
 * @throws {FrameError} as {@link dataMic10}; `frame_field` also for txDr or txCh above 8 bits.
 */
export function dataMic11Up(
  fNwkSIntKey: BlockCipher,
  sNwkSIntKey: BlockCipher,
  inputs: DataMic11UpInputs,
  bytes: Uint8Array,
): Uint8Array {
  const b0 = micBlock('up', inputs.devAddr, inputs.fCnt, bytes.length)
  const b1 = b0.slice()
  writeConfFCnt(b1, inputs.confFCnt)
  writeUint(b1, 3, 1, inputs.txDr)
  writeUint(b1, 4, 1, inputs.txCh)
  const mic = new Uint8Array(MIC_SIZE)
  mic.set(computeMic(sNwkSIntKey, withBlock(b1, bytes)).subarray(0, 2), 0)
  mic.set(computeMic(fNwkSIntKey, withBlock(b0, bytes)).subarray(0, 2), 2)
  return mic
}

/** The MIC of a 1.1 downlink under SNwkSIntKey (LoRaWAN 1.1 §4.4), 4 bytes. @throws {FrameError} as {@link dataMic10}. */
export function dataMic11Down(sNwkSIntKey: BlockCipher, inputs: DataMic11DownInputs, bytes: Uint8Array): Uint8Array {
  const b0 = micBlock('down', inputs.devAddr, inputs.fCnt, bytes.length)
  writeConfFCnt(b0, inputs.confFCnt)
  return computeMic(sNwkSIntKey, withBlock(b0, bytes))
}

/** 49 || 4 zeros || Dir || DevAddr || FCnt || 00 || length, 16 bytes. The zeros are where 1.1 puts what else it covers. */
function micBlock(direction: Direction, devAddr: DevAddr, fCnt32: number, length: number): Uint8Array {
  if (length > MAX_PHY_PAYLOAD_SIZE - MIC_SIZE)
    throw new FrameError('frame_size', `a frame of ${length} bytes without MIC`)
  const block = new Uint8Array(AES_BLOCK_SIZE)
  block[0] = 0x49
  block[5] = direction === 'up' ? 0 : 1
  block.set(devAddrToWire(devAddr), 6)
  writeUint(block, 10, 4, fCnt32)
  block[15] = length
  return block
}

function writeConfFCnt(block: Uint8Array, confFCnt: number): void {
  // LoRaWAN 1.1 §4.4: "the frame counter value modulo 2^16" of the confirmed frame.
  writeUint(block, 1, 2, confFCnt % 0x10000)
}

function withBlock(block: Uint8Array, bytes: Uint8Array): Uint8Array {
  const message = new Uint8Array(block.length + bytes.length)
  message.set(block)
  message.set(bytes, block.length)
  return message
}
