import { connect } from 'node:net'
import { encodeFrame, FRAME, FrameSplitter, type FrameType } from '../contract/frames.ts'
import { decodeRefusal } from '../contract/session.ts'
import { WireWriter } from '../contract/wire.ts'
import { HsmError } from '../errors.ts'
import type { SupervisorStatus } from '../supervisor/supervisor.ts'

const TIMEOUT_MS = 30_000

/**
 * Opens a sealed HSM process with the passphrase or PIN.
 * @throws HsmError wrong_passphrase, store_damaged, token_failed; Error with `code` when nobody listens
 */
export async function unseal(custodianSocket: string, secret: Buffer): Promise<void> {
  await ask(custodianSocket, FRAME.unseal, FRAME.unsealed, new WireWriter(64).bytes(secret).finish())
}

/** Whether the HSM process is sealed, and what it is. */
export async function hsmStatus(custodianSocket: string): Promise<SupervisorStatus> {
  const answer = await ask(custodianSocket, FRAME.status, FRAME.statusReported, Buffer.alloc(0))
  return JSON.parse(answer.toString()) as SupervisorStatus
}

function ask(path: string, type: FrameType, expected: FrameType, payload: Buffer): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const splitter = new FrameSplitter()
    const socket = connect(path, () => socket.write(encodeFrame(type, 1, payload)))
    socket.setTimeout(TIMEOUT_MS, () => socket.destroy(new HsmError('busy', 'no answer in time')))
    socket.on('error', reject)
    socket.on('close', () => {
      reject(new HsmError('busy', 'the HSM process closed the connection'))
    })
    socket.on('data', (chunk: Buffer) => {
      for (const frame of splitter.push(chunk)) {
        if (frame.type === expected) resolve(frame.payload)
        else reject(frame.type === FRAME.refused ? decodeRefusal(frame.payload) : new HsmError('frame_malformed'))
        socket.end()
      }
    })
  })
}
