import { HSM_ERROR_CODES } from '@mortise/hsm'
import { FRAME } from '../../../packages/hsm/src/contract/frames.ts'
import { demand } from '../failure.ts'
import { mutateBytes } from '../mutate-bytes.ts'
import { FrameConnection } from './connection.ts'
import { prefixed, readAll } from './cursor.ts'
import { frame, framesOf } from './frames.ts'
import { readRefusal } from './read-answer.ts'
import type { Talk } from './talk.ts'

/** What a custodian may mistype. */
const NEAR_MISSES = [
  'correct horse battery stapl',
  'correct horse battery staple\n',
  'Correct horse battery staple',
  '\0',
]
const QUIET_MS = 20

/** Wrong passphrases and damaged frames at the custodian socket of a sealed HSM: none opens it. */
export async function unsealing(talk: Talk, custodianSocket: string, right: Buffer): Promise<void> {
  const { random } = talk
  const secret = random.chance(0.5)
    ? Buffer.from(random.pick(NEAR_MISSES))
    : random.bytes(random.pick([0, 1, 32, 1024, 2000]))
  const honest = frame(FRAME.unseal, 7, prefixed(secret))
  const sent = random.chance(0.5) ? honest : mutateBytes(random, honest)
  if (framesOf(sent).some(({ payload }) => opens(payload, right))) return
  talk.sent.push(sent)
  const connection = await FrameConnection.open(custodianSocket)
  const { frames, complaint } = await connection.exchange([sent], QUIET_MS)
  demand(complaint === undefined, 'frame_stream', complaint ?? '')
  for (const { type, payload } of frames) {
    if (type === FRAME.statusReported) continue
    const code = type === FRAME.refused ? HSM_ERROR_CODES[readRefusal(payload)?.number ?? -1] : undefined
    const known = code === 'wrong_passphrase' || code === 'frame_malformed' || code === 'protocol_version_unsupported'
    demand(known, 'opened', `type ${type}, ${code ?? 'no code'}`)
    talk.count(code)
  }
}

/** HMAC, in scrypt, fills a key up with zeros: zeros behind a passphrase make no other one. */
function opens(payload: Buffer, right: Buffer): boolean {
  const secret = readAll(payload, (cursor) => cursor.bytes())
  const end = (secret?.findLastIndex((byte) => byte !== 0) ?? -1) + 1
  return secret?.subarray(0, end).equals(right) === true
}
