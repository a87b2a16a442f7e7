import { AES_BLOCK_SIZE, type BlockCipher } from './aes.ts'
import { type Direction, MAX_F_OPTS_SIZE, MAX_FRM_PAYLOAD_SIZE } from './data-frame.ts'
import { FrameError } from './errors.ts'
import { type DevAddr, devAddrToWire } from './identifiers.ts'
import { writeUint } from './wire.ts'

/** Which of the 1.1 counters numbers a frame: one for uplinks, one for downlinks of FPort 0 or none, one for the others. */
export type FOptsCounter = 'FCntUp' | 'NFCntDown' | 'AFCntDown'

/**
 * Encrypts or decrypts FRMPayload, which is the same (LoRaWAN 1.0.3 §4.3.3): under AppSKey, or for FPort 0 under NwkSKey
 * (1.1: NwkSEncKey). `fCnt32` is the full counter. It must never come twice with one key and direction.
 * @throws {FrameError} `frame_field`: fCnt32 above 32 bits. `frame_size`: more than a frame can carry.
 */
export function cryptFrmPayload(
  cipher: BlockCipher,
  direction: Direction,
  devAddr: DevAddr,
  fCnt32: number,
  payload: Uint8Array,
): Uint8Array {
  if (payload.length > MAX_FRM_PAYLOAD_SIZE) throw new FrameError('frame_size', `FRMPayload of ${payload.length} bytes`)
  const result = new Uint8Array(payload)
  const block = keyStreamBlock(direction, devAddr, fCnt32)
  for (let start = 0; start < result.length; start += AES_BLOCK_SIZE) {
    block[15] = start / AES_BLOCK_SIZE + 1
    xorInto(result, start, cipher.encryptBlock(block))
  }
  return result
}

/**
 * Encrypts or decrypts the FOpts of a 1.1 frame under NwkSEncKey (LoRaWAN 1.1 §4.3.1.6, as corrected by the LoRa
 * Alliance's change request "FCntDwn usage in FOpts encryption", v2). The correction adds the byte that names the
 * counter: without it NFCntDown and AFCntDown of one value would share a key stream.
 * @throws {FrameError} `frame_field`: fCnt above 32 bits, more than 15 bytes, or a counter of the other direction.
 */
export function cryptFOpts11(
  cipher: BlockCipher,
  direction: Direction,
  counter: FOptsCounter,
  devAddr: DevAddr,
  fCnt: number,
  fOpts: Uint8Array,
): Uint8Array {
  if (fOpts.length > MAX_F_OPTS_SIZE) throw new FrameError('frame_field', `FOpts of ${fOpts.length} bytes, at most 15`)
  if ((counter === 'FCntUp') !== (direction === 'up'))
    throw new FrameError('frame_field', `${counter} in a frame ${direction}`)
  const block = keyStreamBlock(direction, devAddr, fCnt)
  block[4] = counter === 'AFCntDown' ? 2 : 1
  block[15] = 1
  const result = new Uint8Array(fOpts)
  xorInto(result, 0, cipher.encryptBlock(block))
  return result
}

/** 01 || 4 zeros || Dir || DevAddr || FCnt || 00 || block number, 16 bytes; the number is the caller's. */
function keyStreamBlock(direction: Direction, devAddr: DevAddr, fCnt32: number): Uint8Array {
  const block = new Uint8Array(AES_BLOCK_SIZE)
  block[0] = 0x01
  block[5] = direction === 'up' ? 0 : 1
  block.set(devAddrToWire(devAddr), 6)
  writeUint(block, 10, 4, fCnt32)
  return block
}

function xorInto(target: Uint8Array, start: number, stream: Uint8Array): void {
  const end = Math.min(target.length, start + AES_BLOCK_SIZE)
  for (let index = start; index < end; index++) target[index] = (target[index] ?? 0) ^ (stream[index - start] ?? 0)
}
