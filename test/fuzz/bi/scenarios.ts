import { demand } from '../failure.ts'
import { withHarmlessOddities } from '../http/oddities.ts'
import { post } from '../http/request.ts'
import { mutateTree } from '../json/mutate-tree.ts'
import { type JsonNode, render, renderOddly, toTree } from '../json/tree.ts'
import { joinRequest } from '../air-requests.ts'
import { flipBit, mutateBytes } from '../mutate-bytes.ts'
import type { Random } from '../random.ts'
import type { Conversation } from './conversation.ts'
import { appSKeyReq, homeNsReq, joinReq, joinReqWith, type Message, networkCaller } from './messages.ts'
import type { Verdict } from './judge.ts'
import { type Caller, CALLERS } from './peers.ts'
import type { EnrolledDevice } from './devices.ts'

/** What a case with a device of its own is given. */
export interface OwnCase {
  readonly talk: Conversation
  readonly device: EnrolledDevice
  /** A DevNonce that no case has used or will use; a few of them. */
  readonly nextDevNonce: () => number
  /** The same of RJcount1; both together are a few. */
  readonly nextRjCount1: () => number
  /** Another device of the installation. */
  readonly otherDevice: EnrolledDevice
  /** Other messages that were valid once, for splicing. */
  readonly corpus: readonly Buffer[]
}

export type Scenario = (own: OwnCase) => Promise<unknown>

/** How often each; what is valid among them shows that not everything is refused. */
export const SCENARIOS: readonly (readonly [number, Scenario])[] = [
  [16, acceptedTwin],
  [34, mutatedMembers],
  [12, mutatedText],
  [12, mutatedFrame],
  [5, repeatedRequests],
  [6, sessionKey],
  [3, homeNetwork],
  [3, wrongCaller],
  [1, sameAtOnce],
  [1, acceptedApart],
]

/** After a refusal the same message, unspoilt, has to be accepted: a refusal changes nothing. */
const TWIN_SHARE = 0.12

/** A valid message of a valid device, in one of the many forms that are allowed. */
async function acceptedTwin({ talk, device, nextDevNonce }: OwnCase): Promise<Verdict> {
  const caller = networkCaller(talk.random, device)
  return await talk.say(caller, written(talk.random, joinReq(talk.random, device, caller, nextDevNonce())))
}

async function mutatedMembers(own: OwnCase): Promise<void> {
  await mutated(own, (tree) => {
    mutateTree(own.talk.random, tree)
    return Buffer.from(own.talk.random.chance(0.2) ? renderOddly(own.talk.random, tree) : render(tree))
  })
}

async function mutatedText(own: OwnCase): Promise<void> {
  await mutated(own, (tree) => mutateBytes(own.talk.random, Buffer.from(render(tree)), own.corpus))
}

/** A JoinReq, or sometimes an AppSKeyReq for no session, spoilt by `spoil`; and perhaps the unspoilt one after it. */
async function mutated(own: OwnCase, spoil: (tree: JsonNode) => Buffer): Promise<void> {
  const { talk, device, nextDevNonce } = own
  const { random } = talk
  if (random.chance(0.1)) {
    const message = appSKeyReq(random, device, 'named', random.bytes(8).toString('hex'))
    await talk.say('named', spoil(toTree(message)))
    return
  }
  const caller = networkCaller(random, device)
  const message = joinReq(random, device, caller, nextDevNonce())
  await talk.say(caller, spoil(toTree(message)))
  if (random.chance(TWIN_SHARE)) await talk.say(caller, Buffer.from(JSON.stringify(message)))
}

/** Another frame than the device's, in a message that agrees with it. */
async function mutatedFrame(own: OwnCase): Promise<void> {
  const { talk, device, otherDevice, nextDevNonce } = own
  const { random } = talk
  const honest = joinRequest(device, nextDevNonce())
  // Without its MIC: a whole frame of another device would be accepted in the middle of that one's own case.
  const unsigned = joinRequest(otherDevice, random.below(65_536)).subarray(0, -4)
  const other = random.chance(0.8) ? Buffer.concat([unsigned, random.bytes(4)]) : random.bytes(23)
  const frame = spoilFrame(random, honest, other)
  const caller = networkCaller(random, device)
  const message = joinReqWith(random, device, caller, frame)
  const agreeing = random.chance(0.7) && frame.length >= 17 ? { DevEUI: euiOf(frame, 9) } : {}
  await talk.say(caller, written(random, { ...message, ...agreeing }))
  if (random.chance(TWIN_SHARE)) await talk.say(caller, written(random, joinReqWith(random, device, caller, honest)))
}

function spoilFrame(random: Random, honest: Buffer, other: Buffer): Buffer {
  const part = (from: number, to: number, source: Buffer): Buffer =>
    Buffer.concat([honest.subarray(0, from), source.subarray(from, to), honest.subarray(to)])
  return random.weighted<() => Buffer>([
    [8, () => flipBit(random, honest)],
    [2, () => part(0, 1, Buffer.of(random.below(256)))],
    [2, () => part(1, 9, other)],
    [2, () => part(9, 17, other)],
    [2, () => part(1, 17, other)],
    [2, () => part(17, 19, other)],
    [2, () => part(19, 23, random.bytes(23))],
    [
      1,
      () => Buffer.concat([honest.subarray(0, 1), honest.subarray(9, 17), honest.subarray(1, 9), honest.subarray(17)]),
    ],
    [1, () => honest.subarray(0, random.below(23))],
    [1, () => Buffer.concat([honest, random.bytes(random.between(1, 16))])],
    [1, () => mutateBytes(random, honest, [other])],
    // What other messages of LoRaWAN look like: a rejoin-request of type 0 has 19 bytes, one of type 1 has 24.
    [1, () => Buffer.concat([Buffer.of(0xc0, random.below(3)), random.bytes(random.pick([17, 22]))])],
    [1, () => Buffer.concat([Buffer.of(random.pick([0x40, 0x80])), random.bytes(random.between(11, 60))])],
  ])()
}

/** The last request gets the same answer again, whatever does not count in it; one that differs is a replay. */
async function repeatedRequests({ talk, device, nextDevNonce }: OwnCase): Promise<void> {
  const { random } = talk
  const caller = networkCaller(random, device)
  const first = joinReq(random, device, caller, nextDevNonce())
  await talk.say(caller, written(random, first))
  const again = {
    ...first,
    TransactionID: random.uint32(),
    MACVersion: '1.0.2',
    ProtocolVersion: '1.1',
    SenderToken: 'ff',
  }
  await talk.say(caller, written(random, random.chance(0.5) ? first : again))
  const changes = [{ DevAddr: '01020304' }, { DLSettings: 'a5' }, { RxDelay: 7 }, { CFList: '11'.repeat(16) }]
  const changed = random.chance(0.5) ? [] : [random.pick(changes)]
  await talk.say(caller, written(random, Object.assign({}, first, ...changed) as Message))
  if (random.chance(0.5)) return
  await talk.say(caller, written(random, joinReq(random, device, caller, nextDevNonce())))
  await talk.say(caller, written(random, first))
}

/** An application server fetches the key of a session; and of others, which it may not. */
async function sessionKey({ talk, device, nextDevNonce, otherDevice }: OwnCase): Promise<void> {
  const { random } = talk
  const network = networkCaller(random, device)
  const { joined } = await talk.say(network, written(random, joinReq(random, device, network, nextDevNonce())))
  const sessionKeyId = joined?.sessionKeyId ?? random.bytes(8).toString('hex')
  const callers = ['named', 'named', 'second', 'other', 'keyless', 'stranger', 'clear'] as const
  const caller = random.pick(callers)
  const about = random.chance(0.15) ? otherDevice : device
  await talk.say(caller, written(random, appSKeyReq(random, about, caller, sessionKeyId)))
  const tree = toTree(appSKeyReq(random, device, 'named', sessionKeyId))
  mutateTree(random, tree)
  await talk.say('named', Buffer.from(render(tree)))
  await talk.say('named', written(random, appSKeyReq(random, device, 'named', sessionKeyId)))
}

/** A network asks for the home of a device that it may have an agreement for, or that is nobody's. */
async function homeNetwork({ talk, device }: OwnCase): Promise<void> {
  const { random } = talk
  const caller = random.chance(0.85) ? networkCaller(random, device) : random.pick(CALLERS)
  const message = homeNsReq(random, device, caller)
  await talk.say(caller, written(random, message))
  const tree = toTree(random.chance(0.3) ? { ...message, DevEUI: random.bytes(8).toString('hex') } : message)
  if (random.chance(0.7)) mutateTree(random, tree)
  await talk.say(caller, Buffer.from(render(tree)))
}

/** A valid message over the connection of somebody else, or in the name of somebody else. */
async function wrongCaller({ talk, device, nextDevNonce }: OwnCase): Promise<void> {
  const { random } = talk
  const message = (as: Caller): Buffer => written(random, joinReq(random, device, as, devNonce))
  const devNonce = nextDevNonce()
  const caller = random.pick(CALLERS)
  await talk.say(caller, message(random.chance(0.5) ? caller : random.pick(CALLERS)))
  await talk.say(random.pick(CALLERS), message('clear'))
  await talk.say('clear', message('clear'))
}

/** The same new request many times at once: one join, one answer. */
async function sameAtOnce({ talk, device, nextDevNonce }: OwnCase): Promise<void> {
  const caller = networkCaller(talk.random, device)
  const body = written(talk.random, joinReq(talk.random, device, caller, nextDevNonce()))
  const verdicts = await Promise.all(Array.from({ length: talk.random.between(2, 6) }, () => talk.say(caller, body)))
  const answers = new Set(verdicts.map(({ joined }) => joined?.answer))
  demand(answers.size === 1, 'other_answer', `${answers.size} answers to one request`)
}

/** A valid message over a connection of its own, in pieces, by a client of another make. */
async function acceptedApart({ talk, device, nextDevNonce }: OwnCase): Promise<void> {
  const { random } = talk
  const caller = networkCaller(random, device)
  const body = written(random, joinReq(random, device, caller, nextDevNonce()))
  await talk.sayApart(caller, withHarmlessOddities(random, post(body), body), body)
}

/** A message as text that means the same: members in any order, escapes, white space, a byte-order mark. */
export function written(random: Random, message: Message): Buffer {
  if (random.chance(0.6)) return Buffer.from(JSON.stringify(message))
  const tree = toTree(message)
  const before = random.chance(0.2) ? random.pick(['\uFEFF', ' \r\n', '\uFEFF ']) : ''
  return Buffer.from(before + renderOddly(random, tree) + (random.chance(0.2) ? '\n' : ''))
}

export function euiOf(frame: Buffer, at: number): string {
  return Buffer.from(frame.subarray(at, at + 8))
    .reverse()
    .toString('hex')
}
