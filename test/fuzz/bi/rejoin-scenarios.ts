import { joinRequest, rejoinRequest, type RejoinType } from '../air-requests.ts'
import { demand } from '../failure.ts'
import { mutateTree } from '../json/mutate-tree.ts'
import { render, toTree } from '../json/tree.ts'
import { flipBit, mutateBytes } from '../mutate-bytes.ts'
import type { Random } from '../random.ts'
import { appSKeyReq, joinReq, type Message, networkCaller, rejoinReqWith } from './messages.ts'
import { idOf, type Network } from './peers.ts'
import { euiOf, type OwnCase, type Scenario, written } from './scenarios.ts'

/** How often each. The first is for devices of LoRaWAN 1.0 too, which have to be refused. */
export const REJOIN_SCENARIOS: readonly (readonly [number, Scenario])[] = [
  [8, rejoins],
  [8, mutatedFrame],
  [8, mutatedMessage],
  [1, sameAtOnce],
]

const TYPES: readonly RejoinType[] = [0, 1, 1, 2]
/** RJcount0 and RJcount1 are 16 bits. */
const COUNTS = 65_536
const TWIN_SHARE = 0.3

/** A device joins, and then asks again and again for a new session; an application server may fetch its key. */
async function rejoins(own: OwnCase): Promise<void> {
  const { talk, device, nextDevNonce } = own
  const { random } = talk
  const caller = networkCaller(random, device)
  const join = joinReq(random, device, caller, nextDevNonce())
  let { joined } = await talk.say(caller, written(random, join))
  for (let left = random.between(1, 3); left > 0; left--) {
    const by = random.chance(0.8) ? caller : networkCaller(random, device)
    const message = rejoinReqWith(random, device, by, honestFrame(own, by))
    const verdict = await talk.say(by, written(random, message))
    joined = verdict.joined ?? joined
    // The same again has the same answer; with other parameters type 1 is a replay, and the others are a rejoin anew.
    if (random.chance(0.3)) await talk.say(by, written(random, { ...message, TransactionID: random.uint32() }))
    if (random.chance(0.2)) await talk.say(by, written(random, { ...message, DevAddr: '01020304' }))
  }
  if (random.chance(0.2)) await talk.say(caller, written(random, join))
  if (joined !== undefined && random.chance(0.4))
    await talk.say('named', written(random, appSKeyReq(random, device, 'named', joined.sessionKeyId)))
}

/** Another frame than the device's, in a message that agrees with it; perhaps of a device that never joined. */
async function mutatedFrame(own: OwnCase): Promise<void> {
  const { talk, device, nextDevNonce } = own
  const { random } = talk
  const caller = networkCaller(random, device)
  if (random.chance(0.6)) await talk.say(caller, written(random, joinReq(random, device, caller, nextDevNonce())))
  const honest = honestFrame(own, caller)
  const frame = spoilFrame(own, honest, caller)
  const message = rejoinReqWith(random, device, caller, frame)
  const at = frame[1] === 1 ? 10 : 5
  const agreeing = random.chance(0.7) && frame.length >= at + 8 ? { DevEUI: euiOf(frame, at) } : {}
  await talk.say(caller, written(random, { ...message, ...agreeing }))
  if (random.chance(TWIN_SHARE)) await talk.say(caller, written(random, rejoinReqWith(random, device, caller, honest)))
}

/**
 * One thing that is another's, or nobody's. A whole frame of another device never comes with that one's JoinEUI: types 0
 * and 2 would be accepted in the middle of its own case.
 */
function spoilFrame({ talk, device, otherDevice }: OwnCase, honest: Buffer, caller: Network): Buffer {
  const { random } = talk
  const [, type] = honest
  const count = honest.readUInt16LE(honest.length - 6)
  const netId = idOf(caller)
  const mic = random.bytes(4)
  const of = (as: RejoinType, counted: number): Buffer =>
    rejoinRequest(device, { type: as, netId, count: counted, mic })
  const withByte = (at: number, value: number): Buffer =>
    Buffer.concat([honest.subarray(0, at), Buffer.of(value), honest.subarray(at + 1)])
  const otherEui = Buffer.from(otherDevice.devEui, 'hex').reverse()
  const euiAt = type === 1 ? 10 : 5
  return random.weighted<() => Buffer>([
    [6, () => flipBit(random, honest)],
    // A MIC that is nobody's, and one that is the other side's to check.
    [3, () => Buffer.concat([honest.subarray(0, -4), mic])],
    // RJcount1 that was used, or that is not reached: what comes before a number of this case was used or left out.
    [3, () => of(1, Math.max(0, count - 1))],
    [2, () => of(random.pick([0, 2]), random.below(COUNTS))],
    [2, () => withByte(1, random.between(3, 255))],
    [2, () => withByte(1, random.below(3))],
    [1, () => withByte(0, random.below(256))],
    [2, () => Buffer.concat([honest.subarray(0, euiAt), otherEui, honest.subarray(euiAt + 8)])],
    [2, () => Buffer.concat([honest.subarray(0, 2), random.bytes(type === 1 ? 8 : 3), honest.subarray(euiAt)])],
    [1, () => honest.subarray(0, random.below(honest.length))],
    [1, () => Buffer.concat([honest, random.bytes(random.between(1, 16))])],
    [1, () => Buffer.concat([Buffer.of(0xc0, random.below(4)), random.bytes(random.pick([17, 22]))])],
    [1, () => mutateBytes(random, honest)],
    [1, () => joinRequest(device, random.below(COUNTS)).subarray(0, random.pick([19, 23]))],
  ])()
}

/** Members that are wrong: of any kind, or OptNeg, the message's name, another network. */
async function mutatedMessage(own: OwnCase): Promise<void> {
  const { talk, device, nextDevNonce, corpus } = own
  const { random } = talk
  const caller = networkCaller(random, device)
  if (random.chance(0.5)) await talk.say(caller, written(random, joinReq(random, device, caller, nextDevNonce())))
  const message = rejoinReqWith(random, device, caller, honestFrame(own, caller))
  await talk.say(caller, spoilMessage(random, message, corpus))
  if (random.chance(TWIN_SHARE)) await talk.say(caller, Buffer.from(JSON.stringify(message)))
}

function spoilMessage(random: Random, message: Message, corpus: readonly Buffer[]): Buffer {
  return random.weighted<() => Buffer>([
    [
      10,
      () => {
        const tree = toTree(message)
        mutateTree(random, tree)
        return Buffer.from(render(tree))
      },
    ],
    [4, () => mutateBytes(random, Buffer.from(JSON.stringify(message)), corpus)],
    [2, () => written(random, { ...message, DLSettings: random.below(128).toString(16).padStart(2, '0') })],
    [1, () => written(random, { ...message, MessageType: random.pick(['JoinReq', 'HomeNSReq', 'AppSKeyReq']) })],
    [1, () => written(random, { ...message, SenderID: random.pick(['000024', '00002a', '600001', 'doors.example']) })],
    [1, () => written(random, { ...message, ReceiverID: random.bytes(8).toString('hex') })],
  ])()
}

/** The same new request many times at once: one rejoin, one answer. */
async function sameAtOnce(own: OwnCase): Promise<void> {
  const { talk, device, nextDevNonce } = own
  const { random } = talk
  const caller = networkCaller(random, device)
  await talk.say(caller, written(random, joinReq(random, device, caller, nextDevNonce())))
  const body = written(random, rejoinReqWith(random, device, caller, honestFrame(own, caller)))
  const verdicts = await Promise.all(Array.from({ length: random.between(2, 6) }, () => talk.say(caller, body)))
  const answers = new Set(verdicts.map(({ joined }) => joined?.answer))
  demand(answers.size === 1, 'other_answer', `${answers.size} answers to one request`)
}

/** A rejoin-request of any type. The MIC of types 0 and 2 is for the network server, which would have checked it. */
function honestFrame({ talk, device, nextRjCount1 }: OwnCase, caller: Network): Buffer {
  const { random } = talk
  const type = random.pick(TYPES)
  const count = type === 1 ? nextRjCount1() : random.below(COUNTS)
  return rejoinRequest(device, { type, netId: idOf(caller), count, mic: random.bytes(4) })
}
