import { FRAME } from '../../../packages/hsm/src/contract/frames.ts'
import { demand } from '../failure.ts'
import { joinRequest } from '../air-requests.ts'
import { mutateBytes } from '../mutate-bytes.ts'
import { pieces } from '../http/request.ts'
import { encodeJoin, honestJoin, honestRejoin, type JoinMembers, spoilJoin, spoilRecord } from './commands.ts'
import { bigEndian, prefixed } from './cursor.ts'
import { isAcknowledgement } from './expect.ts'
import { frame } from './frames.ts'
import { goldenFrames } from './golden.ts'
import type { KnownSession } from './known-records.ts'
import type { Talk } from './talk.ts'

type Scenario = (talk: Talk) => Promise<unknown>

export const SCENARIOS: readonly (readonly [number, Scenario])[] = [
  [10, acceptedJoin],
  [24, spoiltJoin],
  [14, mutatedJoin],
  [10, verification],
  [14, releases],
  [8, oddTypes],
  [6, acknowledgements],
  [4, streams],
  [2, custodians],
]

const PAYLOADS = Array.from(goldenFrames().values(), (bytes) => bytes.subarray(10))
const SIGNER_BYTES = 16
const ACKNOWLEDGING: readonly number[] = [FRAME.acknowledgeOrder, FRAME.acknowledgeReceipts]
const MAX_SEQUENCE = 2 ** 48 - 1
const STREAMED_JOINS = 3
const REJOIN_SHARE = 0.4

/** As an honest server asks: accepted, and the answer is what the device and the recipients expect. */
async function acceptedJoin(talk: Talk): Promise<KnownSession | undefined> {
  return await talk.join(encodeJoin(honest(talk)))
}

/** A join, or a rejoin of a device that can. */
function honest({ random, records }: Talk): JoinMembers {
  return random.chance(REJOIN_SHARE) ? honestRejoin(random, records) : honestJoin(random, records)
}

async function spoiltJoin(talk: Talk): Promise<void> {
  const members = honest(talk)
  do spoilJoin(talk.random, talk.records, members)
  while (talk.random.chance(0.2))
  await talk.join(encodeJoin(members))
}

async function mutatedJoin(talk: Talk): Promise<void> {
  const payload = encodeJoin(honest(talk))
  await talk.join(mutateBytes(talk.random, payload, PAYLOADS))
  if (talk.random.chance(0.1)) await talk.join(payload)
}

async function verification(talk: Talk): Promise<void> {
  const { random, records } = talk
  const members = honest(talk)
  if (random.chance(0.5)) spoilJoin(random, records, members)
  const payload = Buffer.concat([prefixed(members.deviceRecord), prefixed(members.frame)])
  await talk.verify(random.chance(0.3) ? mutateBytes(random, payload, PAYLOADS) : payload)
}

/** The AppSKey of a session that was just made or that is known, for application servers of every kind. */
async function releases(talk: Talk): Promise<void> {
  const { random, records } = talk
  const fresh = random.chance(0.3) ? await acceptedJoin(talk) : undefined
  const session = fresh ?? random.pick(records.sessions)
  const owned = records.devices.filter(({ id }) => id === session.deviceId)
  const device = random.chance(0.85) ? random.pick(owned) : random.pick(records.devices)
  const kek = random.pick(records.keks)
  const members = [device.bytes, session.bytes, kek.bytes]
  if (random.chance(0.5)) {
    const spoilt = random.below(members.length)
    members[spoilt] = spoilRecord(random, records, members[spoilt] ?? kek.bytes)
  }
  const payload = Buffer.concat(members.map(prefixed))
  await talk.release(random.chance(0.15) ? mutateBytes(random, payload, PAYLOADS) : payload, fresh)
}

/** Frames of types that are unknown, of the other direction or of another payload. */
async function oddTypes(talk: Talk): Promise<unknown> {
  const { random } = talk
  const known = Object.values(FRAME)
  const type = random.chance(0.4) ? random.pick(known) : random.below(256)
  const payload = random.chance(0.7) ? random.pick(PAYLOADS) : random.bytes(random.below(64))
  if (type === FRAME.answerJoin) return await talk.join(payload)
  if (type === FRAME.verifyJoinRequest) return talk.verify(payload)
  if (type === FRAME.releaseAppSKey) return talk.release(payload, undefined)
  if (ACKNOWLEDGING.includes(type)) return acknowledge(talk, type, payload)
  const { code } = await talk.ask(type, payload)
  // The golden order was made for another HSM, and its signature is good.
  const orderCodes = ['frame_malformed', 'order_signature_invalid', 'order_for_other_hsm']
  const allowed = type === FRAME.applyOrder ? orderCodes : ['frame_malformed']
  demand(allowed.includes(code), 'code', `${code} for a frame of type ${type}`)
  return code
}

/** Acknowledgements of what was never given, far ahead, for chains and signers that do not exist. */
async function acknowledgements(talk: Talk): Promise<void> {
  const { random } = talk
  const sequence = random.pick([0, 1, random.uint32(), MAX_SEQUENCE])
  const forOrder = random.chance(0.4)
  const payload = forOrder
    ? Buffer.concat([random.bytes(SIGNER_BYTES), bigEndian(6, sequence)])
    : Buffer.concat([bigEndian(6, random.uint32()), bigEndian(4, random.below(5)), bigEndian(6, sequence)])
  const type = forOrder ? FRAME.acknowledgeOrder : FRAME.acknowledgeReceipts
  await acknowledge(talk, type, random.chance(0.3) ? mutateBytes(random, payload) : payload)
}

async function acknowledge(talk: Talk, type: number, payload: Buffer): Promise<void> {
  if (!isAcknowledgement(type === FRAME.acknowledgeOrder ? 'order' : 'receipts', payload)) {
    const { code } = await talk.ask(type, payload)
    demand(code === 'frame_malformed', 'code', code)
    return
  }
  const [device] = talk.records.devices
  if (device === undefined) return
  const question = Buffer.concat([prefixed(device.bytes), prefixed(joinRequest(device.device, 1))])
  await talk.tell(type, payload, question)
}

/** Streams that cannot be cut into frames, are cut anywhere, begin without hello or say it twice. */
async function streams(talk: Talk): Promise<void> {
  const { random } = talk
  const payloads = Array.from({ length: random.between(1, STREAMED_JOINS) }, () => encodeJoin(honest(talk)))
  const hello = frame(FRAME.hello, 1, bigEndian(6, random.pick([0, 0, 0, 1, MAX_SEQUENCE])))
  const frames = payloads.map((payload, index) => frame(FRAME.answerJoin, 2 + index, payload))
  const whole = Buffer.concat(random.chance(0.85) ? [hello, ...frames] : frames)
  const sent = random.weighted<() => Buffer>([
    [2, () => whole],
    [6, () => mutateBytes(random, whole)],
    [1, () => Buffer.concat([hello, hello, ...frames])],
    [1, () => Buffer.concat([hello, bigEndian(4, random.pick([0, 5, 4_194_305, 0xffffffff])), ...frames])],
    [1, () => random.bytes(random.between(1, 4000))],
    [1, () => whole.subarray(0, random.below(whole.length))],
  ])()
  await talk.stream(random.chance(0.5) ? pieces(random, sent) : [sent], 'server')
}

/** The custodian socket of an open HSM: `status` is answered, `unseal` has nothing to do, all else is refused. */
async function custodians(talk: Talk): Promise<void> {
  const { random } = talk
  const frames = [
    frame(FRAME.status, 1, Buffer.alloc(0)),
    frame(FRAME.unseal, 2, prefixed(random.bytes(random.pick([0, 1, 20, 1024, 1025, 5000])))),
    frame(random.below(256), 3, random.pick(PAYLOADS)),
  ]
  const whole = Buffer.concat(random.shuffled(frames).slice(0, random.between(1, 3)))
  await talk.stream([random.chance(0.5) ? whole : mutateBytes(random, whole)], 'custodian')
}
